"""What the schema says beyond the views: the token, forms, refusals, examples."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework.serializers import Serializer

from hereabouts.control.api import serializers as shapes
from hereabouts.control.metrics import PERIODS


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call,misc,unused-ignore]
    """How the schema describes the token."""

    target_class = "hereabouts.control.api.authentication.TokenAuthentication"
    name = "Token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """An OpenAPI security scheme."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": 'The word "Token", a space, and 40 hex digits.',
        }


@csrf_exempt
@require_safe
def serve(request: HttpRequest) -> HttpResponse:
    """The OpenAPI schema, as JSON."""
    return HttpResponse(_text(), content_type="application/json")


@cache
def _text() -> str:
    return json.dumps(SchemaGenerator().get_schema(public=True))  # type: ignore[no-untyped-call,unused-ignore]


def _example(name: str, value: Any, *codes: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=list(codes))


def _detail(description: str, text: str) -> OpenApiResponse:
    return OpenApiResponse(shapes.DetailOutput, description, [OpenApiExample(text, value={"detail": text})])


_WORDS = shapes.Flag.TRUE_VALUES | shapes.Flag.FALSE_VALUES
_DOMAIN = {"type": "string", "minLength": 1, "maxLength": 1000}
_COMMAND = {"type": "string", "minLength": 1, "maxLength": 8192}
_FLAG = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "integer", "enum": [0, 1]},
        {"type": "string", "enum": sorted(word for word in _WORDS if isinstance(word, str))},
    ]
}


_SETTINGS = {
    "webapp.stop_first": _FLAG,
    "webapp.health_path": {"type": "string", "maxLength": 1000},
    "webapp.health_status": {"type": "integer", "minimum": 100, "maximum": 599},
    "webapp.health_seconds": {"type": "number", "minimum": 1, "maximum": 600},
    "webapp.force_https": _FLAG,
    "webapp.hsts_seconds": {"type": "integer", "minimum": 0, "maximum": 63_072_000},
}


def _bodies(shape: type[Serializer[Any]], form: dict[str, Any]) -> dict[str, Any]:
    """The media types of a body: in a form, what is nested in JSON has a dotted name."""
    return {"application/json": shape, "application/x-www-form-urlencoded": form, "multipart/form-data": form}


CREATE_BODIES = _bodies(
    shapes.WebsiteInput,
    {
        "type": "object",
        "properties": {
            "domain_name": _DOMAIN,
            "enabled": {**_FLAG, "default": True},
            "webapp.command": _COMMAND,
            **_SETTINGS,
        },
        "required": ["domain_name", "webapp.command"],
    },
)
CHANGE_BODIES = _bodies(
    shapes.WebsiteChange,
    {"type": "object", "properties": {"enabled": _FLAG, "webapp.command": _COMMAND, **_SETTINGS}},
)

DOMAIN_BODIES = _bodies(
    shapes.DomainInput,
    {
        "type": "object",
        "properties": {"domain_name": _DOMAIN, "redirect": {**_FLAG, "default": False}},
        "required": ["domain_name"],
    },
)
REDIRECT_BODIES = _bodies(shapes.DomainChange, {"type": "object", "properties": {"redirect": _FLAG, "main": _FLAG}})
CERTIFICATE_BODIES = _bodies(
    shapes.CertificateInput,
    {
        "type": "object",
        "properties": {
            "cert_type": {"type": "string", "maxLength": 100},
            "cert": {"type": "string", "maxLength": 100_000},
            "private_key": {"type": "string", "maxLength": 20_000},
        },
    },
)

USERNAME = OpenApiParameter(
    "username", str, OpenApiParameter.PATH, description="Your user name, in any case; for operators anybody's."
)
DOMAIN = OpenApiParameter("domain", str, OpenApiParameter.PATH, description="The website's domain, any of them.")
PERIOD = OpenApiParameter(
    "period", str, OpenApiParameter.QUERY, enum=list(PERIODS), default="hour", description="How far back to look."
)
NAME = OpenApiParameter("name", str, OpenApiParameter.PATH, description="One of the website's domains.")

_TAKEN = {"domain_name": ["domain with this domain name already exists."]}
_BLANK = {"webapp": {"command": ["This field may not be blank."]}}
REFUSALS = {
    401: _detail("No token, or a wrong one.", "Invalid token."),
    403: _detail("Another user's URL.", "You do not have permission to perform this action."),
    429: OpenApiResponse(
        shapes.DetailOutput,
        "Too many calls. The header `Retry-After` says in how many seconds the next one is taken.",
        [OpenApiExample("Throttled", value={"detail": "Request was throttled. Expected available in 7 seconds."})],
    ),
    503: _detail(
        "The database is locked for long, full or read-only. The header `Retry-After` says in how many seconds to try "
        "again.",
        "The platform's database can't be used now: database or disk is full. Nothing was changed, websites serve on. "
        "…",
    ),
}
"""Of every call. What a call means by one of these itself comes after them."""
BODY_REFUSALS = {
    400: OpenApiResponse(
        OpenApiTypes.OBJECT,
        "What is wrong: sentences by field, nested as the body is, or `detail`.",
        [OpenApiExample("Domain taken", value=_TAKEN), OpenApiExample("No command", value=_BLANK)],
    ),
    413: _detail("A body of more than 1 MB.", "The body is larger than 1 MB."),
    415: _detail("Neither JSON nor a form.", 'Unsupported media type "text/plain" in request.'),
}
NO_USER = {404: _detail("No such user, which operators alone are told.", "Not found.")}
MISSING = {404: _detail("No such website of this user.", "Not found.")}
QUERY = {
    400: OpenApiResponse(
        OpenApiTypes.OBJECT,
        "What is wrong in the query: sentences by name.",
        [OpenApiExample("Limit", value={"limit": ["Ensure this value is greater than or equal to 1024."]})],
    ),
}
AWAY = {
    503: _detail(
        "A part of the platform is being started. The header `Retry-After` says in how many seconds to try again.",
        "The supervisor is not answering, so what is in the log can't be told now. Websites keep running; try again in "
        "a moment.",
    ),
}
MISSING_DOMAIN = {404: _detail("No such domain of this user's websites.", "Not found.")}
MISSING_CERTIFICATE = {
    404: _detail(
        "No such domain of this user's websites, or no certificate of its own.",
        "There is no certificate for www.example.org. Order one, or upload your own.",
    ),
}
BAD_PERIOD = {
    400: OpenApiResponse(
        OpenApiTypes.OBJECT,
        "There is no such period.",
        [OpenApiExample("No such period", value={"period": ["Give hour, day, week or month."]})],
    ),
}
MAIN_DOMAIN = {
    400: _detail(
        "It is the website's main name.",
        "alice.example.org is the website's main name, which stays as long as the website. Delete that instead.",
    ),
}
CERTIFIED = {
    200: OpenApiResponse(shapes.StatusOutput, "Visitors see the certificate."),
    429: _detail(
        "Too many calls; or the authority takes no more orders now, or no more of this account's. The header "
        "`Retry-After` says in how many seconds the next one is taken.",
        "Request was throttled. Expected available in 7 seconds.",
    ),
    503: _detail(
        "The authority, or a part of the platform, can't be reached, or is taking its time. The header `Retry-After` "
        "says in how many seconds to try again.",
        "The certificates process is not answering, so no certificate could be ordered. Try again later.",
    ),
}
RELOADED = {
    200: OpenApiResponse(shapes.StatusOutput, "Visitors reach the new process."),
    400: _detail(
        "The website is disabled.",
        "The website alice.example.org is disabled, so there is nothing to reload. Enable it: that starts its "
        "latest code.",
    ),
    502: OpenApiResponse(
        shapes.ReloadFailure,
        "The new process does not come up (`reload_failed`) or has not come up yet (`reload_pending`); the old "
        "one keeps serving.",
        [
            OpenApiExample(
                "Failed",
                value={
                    "status": "ERROR",
                    "error_type": "reload_failed",
                    "error_message": "It exited with code 1 before it listened on $DOMAIN_SOCKET. The last error in "
                    "its log: ModuleNotFoundError: No module named 'requests'. Install it in the virtual environment "
                    "whose Python the command runs, or correct the name.",
                },
            )
        ],
    ),
}

_WEBSITE = {
    "id": 42,
    "domain_name": "alice.example.org",
    "enabled": True,
    "user": "alice",
    "logfiles": {kind: f"/var/log/alice.example.org.{kind}.log" for kind in ("access", "error", "server")},
    "webapp": {
        "id": 42,
        "command": "/home/alice/.virtualenvs/venv/bin/uvicorn --uds $DOMAIN_SOCKET main:app",
        "domains": [{"domain_name": "alice.example.org", "enabled": True}],
        "stop_first": False,
        "health_path": "/health",
        "health_status": 200,
        "health_seconds": 30.0,
        "force_https": False,
        "hsts_seconds": 0,
    },
    "state": {"status": "running", "since": "2026-01-02T03:04:05Z", "detail": None},
}
WEBSITE_EXAMPLES = [
    _example("A website", _WEBSITE, "200", "201"),
    OpenApiExample(
        "Create",
        value={
            "domain_name": "alice.example.org",
            "enabled": True,
            "webapp": {"command": "/home/alice/.virtualenvs/venv/bin/uvicorn --uds $DOMAIN_SOCKET main:app"},
        },
        request_only=True,
        media_type="application/json",
    ),
]
POINT_EXAMPLES = [
    _example(
        "A point",
        {
            "at": "2026-01-02T03:04:00Z",
            "seconds": 20,
            "requests": {"1xx": 0.0, "2xx": 12.35, "3xx": 0.0, "4xx": 0.05, "5xx": 0.0},
            "latency": {"p50": 0.0034, "p95": 0.0091, "p99": 0.0238},
            "bytes": 48213,
            "connections": 2,
            "cpu": 0.021,
            "memory_bytes": 38273024,
            "restarts": 0,
        },
        "200",
    )
]
