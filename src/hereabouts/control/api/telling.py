"""The endpoints that tell what goes on: the steps of a start, the logs, the DNS of a domain."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from hereabouts.control import asking, domains
from hereabouts.control.api import schema
from hereabouts.control.api import serializers as shapes
from hereabouts.control.api.views import WebsitesView
from hereabouts.control.models import Domain

_KIND = OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=["access", "error", "server"])


@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN], tags=["websites"])
class WebsiteSteps(WebsitesView):
    """The latest start of one website."""

    @extend_schema(
        operation_id="get_steps",
        responses={200: shapes.StepsOutput, **schema.REFUSALS, **schema.MISSING, **schema.AWAY},
    )
    def get(self, request: Request, username: str, domain: str) -> Response:
        """Get the steps of a website's latest start or reload, as they happen."""
        return Response(shapes.steps_object(asking.steps(self.website().pk)))


@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN, _KIND], tags=["websites"])
class WebsiteLog(WebsitesView):
    """One of a website's logs."""

    @extend_schema(
        operation_id="get_log",
        parameters=[shapes.PieceInput],
        responses={200: shapes.PieceOutput, **schema.QUERY, **schema.REFUSALS, **schema.MISSING, **schema.AWAY},
    )
    def get(self, request: Request, username: str, domain: str, kind: str) -> Response:
        """Get a part of a website's log. Ask again with the offset `next` for what was written since."""
        website = self.website()
        query = shapes.PieceInput(data=request.query_params)
        query.is_valid(raise_exception=True)
        limit = query.validated_data["limit"]
        offset = query.validated_data.get("offset", -limit)
        return Response(shapes.piece_object(asking.log(website.pk, kind, offset, limit)))


@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN, schema.NAME], tags=["domains"])
class DomainLookup(WebsitesView):
    """The DNS of one domain."""

    def found(self) -> Domain:
        """What the URL names. Raises NoSuchWebsite, NoSuchDomain."""
        return domains.find(self.account, self.kwargs["name"], self.website())

    @extend_schema(
        operation_id="get_dns",
        responses={200: shapes.LookupOutput, **schema.REFUSALS, **schema.MISSING_DOMAIN},
    )
    def get(self, request: Request, username: str, domain: str, name: str) -> Response:
        """Get what the DNS said of a domain when it was last looked up."""
        return Response(shapes.lookup_object(self.found()))

    @extend_schema(
        operation_id="check_dns",
        request=None,
        responses={200: shapes.LookupOutput, **schema.REFUSALS, **schema.MISSING_DOMAIN},
    )
    def post(self, request: Request, username: str, domain: str, name: str) -> Response:
        """Look a domain up in the DNS now. `checked_at` tells whether that was possible in time."""
        self.look(self.found().name)
        return Response(shapes.lookup_object(self.found()))
