"""The endpoints of websites: create, list, get, change, reload, delete."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hereabouts.control import asking, claims, reloads, services
from hereabouts.control.api import schema
from hereabouts.control.api import serializers as shapes
from hereabouts.control.api.permissions import OwnUrl
from hereabouts.control.api.throttling import PerMinute, count_stranger
from hereabouts.control.bodies import ARRIVED
from hereabouts.control.models import Account, Website
from hereabouts.core.domains import is_custom


class WebsitesView(APIView):
    """What all endpoints share: the account of the URL, its rate, its errors."""

    permission_classes = [IsAuthenticated, OwnUrl]
    throttle_classes = [PerMinute]
    http_method_names = ["get", "head", "post", "patch", "delete"]
    account: Account
    """Whose URL this is: the caller's, or for an operator anybody's. Set with the permission."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who calls before what is sent."""
        try:
            super().initial(request, *args, **kwargs)
        except (AuthenticationFailed, NotAuthenticated):
            count_stranger(request)
            raise
        except PermissionDenied:
            self.check_throttles(request)
            raise

    def website(self) -> Website:
        """The website that the URL names. Raises NoSuchWebsite."""
        return services.find_website(self.account, self.kwargs["domain"])

    def look(self, name: str) -> None:
        """Have a new custom domain's DNS looked up, so that its state tells what is wrong."""
        if is_custom(name, settings.CONFIG.domain):
            asking.look(name)

    def answer(self, website: Website, settled: bool | None, code: int = status.HTTP_200_OK) -> Response:
        """The website as it is now."""
        latest = services.latest(website)
        return Response(shapes.website_object(latest, attended=settled is not None), code)


@extend_schema(parameters=[schema.USERNAME], tags=["websites"])
class WebsiteList(WebsitesView):
    """The account's websites."""

    @extend_schema(
        operation_id="list_websites",
        responses={200: shapes.WebsiteOutput(many=True), **schema.REFUSALS, **schema.NO_USER},
        examples=schema.WEBSITE_EXAMPLES,
    )
    def get(self, request: Request, username: str) -> Response:
        """List your websites."""
        found = [website for website in services.websites(self.account) if website.domains.all()]  # else deleted now
        return Response([shapes.website_object(website) for website in found])

    @extend_schema(
        operation_id="create_website",
        request=schema.CREATE_BODIES,
        responses={201: shapes.WebsiteOutput, **schema.BODY_REFUSALS, **schema.REFUSALS, **schema.NO_USER},
        examples=schema.WEBSITE_EXAMPLES,
    )
    def post(self, request: Request, username: str) -> Response:
        """Create a website. Answers once it serves, has failed to, or after a while: see `state`."""
        body = shapes.WebsiteInput(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        website = claims.take(
            self.account,
            wanted["domain_name"],
            lambda former: services.create_website(
                self.account, wanted["domain_name"], wanted["webapp"], enabled=wanted["enabled"], former=former
            ),
        )
        settled = asking.settle(website.pk, website.generation)
        self.look(website.domain_name)
        return self.answer(website, settled, status.HTTP_201_CREATED)


@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN], tags=["websites"])
class WebsiteDetail(WebsitesView):
    """One website."""

    @extend_schema(
        operation_id="get_website",
        responses={200: shapes.WebsiteOutput, **schema.REFUSALS, **schema.MISSING},
        examples=schema.WEBSITE_EXAMPLES,
    )
    def get(self, request: Request, username: str, domain: str) -> Response:
        """Get a website."""
        return Response(shapes.website_object(self.website()))

    @extend_schema(
        operation_id="change_website",
        request=schema.CHANGE_BODIES,
        responses={200: shapes.WebsiteOutput, **schema.BODY_REFUSALS, **schema.REFUSALS, **schema.MISSING},
        examples=schema.WEBSITE_EXAMPLES,
    )
    def patch(self, request: Request, username: str, domain: str) -> Response:
        """Enable or disable a website, or give it another command, without downtime."""
        website = self.website()
        body = shapes.WebsiteChange(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        generation = services.change_website(website, wanted.get("webapp", {}), enabled=wanted.get("enabled"))
        return self.answer(website, asking.settle(website.pk, generation))

    @extend_schema(operation_id="delete_website", responses={204: None, **schema.REFUSALS, **schema.MISSING})
    def delete(self, request: Request, username: str, domain: str) -> Response:
        """Delete a website and its logs. Its files in your home stay."""
        website = self.website()
        pk, generation = website.pk, website.generation
        services.delete_website(website)
        asking.settle(pk, generation)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN], tags=["websites"])
class WebsiteReload(WebsitesView):
    """The reload of one website."""

    @extend_schema(
        operation_id="reload_website",
        request=None,
        responses={**schema.RELOADED, **schema.REFUSALS, **schema.MISSING},
    )
    def post(self, request: Request, username: str, domain: str) -> Response:
        """Start the website's new code beside the old; visitors change over when it serves."""
        website = self.website()
        arrived = cast(ASGIRequest, request._request).scope[ARRIVED]
        generation = reloads.reload_website(website, arrived)
        settled = asking.settle(website.pk, generation)
        outcome = reloads.outcome(website, generation, settled)
        return Response({"status": "OK"}) if outcome.kind == "done" else _reload_error(outcome.kind, outcome.message)


def _reload_error(kind: str, message: str) -> Response:
    body = {"status": "ERROR", "error_type": kind, "error_message": message}
    answer = Response(body, status.HTTP_502_BAD_GATEWAY)
    answer._has_been_logged = True  # type: ignore[attr-defined]  # a tenant's failure is none of the platform's
    return answer
