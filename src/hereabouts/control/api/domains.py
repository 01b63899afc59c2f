"""The endpoints of a website's names: list, add, get, redirect, remove."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from hereabouts.control import asking, claims, domains, services
from hereabouts.control.api import schema
from hereabouts.control.api import serializers as shapes
from hereabouts.control.api.views import WebsitesView
from hereabouts.control.models import Domain, Website


def _in_force(website: Website) -> None:
    """Have the supervisor look again, so that visitors are led as is wanted when the call is answered."""
    asking.settle(website.pk, website.generation)


@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN], tags=["domains"])
class DomainList(WebsitesView):
    """The names of one website."""

    @extend_schema(
        operation_id="list_domains",
        responses={200: shapes.DomainOutput(many=True), **schema.REFUSALS, **schema.MISSING},
    )
    def get(self, request: Request, username: str, domain: str) -> Response:
        """List a website's domains, the main one first."""
        website = self.website()
        return Response([shapes.domain_object(website, found) for found in website.domains.all()])

    @extend_schema(
        operation_id="add_domain",
        request=schema.DOMAIN_BODIES,
        responses={201: shapes.DomainOutput, **schema.BODY_REFUSALS, **schema.REFUSALS, **schema.MISSING},
    )
    def post(self, request: Request, username: str, domain: str) -> Response:
        """Add a domain to a website; it serves the website, or redirects to its main domain."""
        website = self.website()
        body = shapes.DomainInput(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        added = claims.take(
            self.account,
            wanted["domain_name"],
            lambda former: domains.add(website, wanted["domain_name"], redirects=wanted["redirect"], former=former),
        )
        _in_force(website)
        self.look(added.name)
        return Response(shapes.domain_object(website, added), status.HTTP_201_CREATED)


@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN, schema.NAME], tags=["domains"])
class DomainDetail(WebsitesView):
    """One name of one website."""

    def found(self) -> tuple[Website, Domain]:
        """What the URL names. Raises NoSuchWebsite, NoSuchDomain."""
        website = self.website()
        return website, domains.find(self.account, self.kwargs["name"], website)

    @extend_schema(
        operation_id="get_domain",
        responses={200: shapes.DomainOutput, **schema.REFUSALS, **schema.MISSING_DOMAIN},
    )
    def get(self, request: Request, username: str, domain: str, name: str) -> Response:
        """Get a domain of a website."""
        return Response(shapes.domain_object(*self.found()))

    @extend_schema(
        operation_id="change_domain",
        request=schema.REDIRECT_BODIES,
        responses={200: shapes.DomainOutput, **schema.BODY_REFUSALS, **schema.REFUSALS, **schema.MISSING_DOMAIN},
    )
    def patch(self, request: Request, username: str, domain: str, name: str) -> Response:
        """Make a domain the main one, let it redirect to that, or serve the website itself."""
        website, found = self.found()
        body = shapes.DomainChange(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        if wanted.get("main"):
            domains.make_main(found)
        if "redirect" in wanted:
            domains.change(found, redirects=wanted["redirect"])
        if wanted:
            _in_force(website)
        return Response(shapes.domain_object(website, found))

    @extend_schema(
        operation_id="remove_domain",
        responses={204: None, **schema.MAIN_DOMAIN, **schema.REFUSALS, **schema.MISSING_DOMAIN},
    )
    def delete(self, request: Request, username: str, domain: str, name: str) -> Response:
        """Remove a domain from a website. The main one stays as long as the website."""
        website, found = self.found()
        domains.remove(found)
        _in_force(services.latest(website))
        return Response(status=status.HTTP_204_NO_CONTENT)
