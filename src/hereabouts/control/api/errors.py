"""From Hereabouts' exceptions to HTTP answers, in the shapes that clients match."""

from __future__ import annotations

import logging
import math
import time
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from hereabouts.errors import (
    AccountSuspended,
    DomainTaken,
    InvalidInput,
    MainDomain,
    NoCertificate,
    NoSuchAccount,
    NoSuchDomain,
    NoSuchWebsite,
    OrderFailed,
    SupervisorAway,
    WebsiteDisabled,
)

TAKEN = "domain with this domain name already exists."
NOT_FOUND = "Not found."
DATABASE_SECONDS = "5"
"""After which time whoever met a database that can't be used is told to try again."""
_DATABASE = (
    "The platform's database can't be used now: {}. Nothing was changed, websites serve on. "
    "Try again later; if that does not help, the operator finds the cause with `hereabouts doctor`."
)
WEBAPP_FIELDS = frozenset({"command", "health_path", "health_status", "health_seconds", "hsts_seconds"})

_log = logging.getLogger("hereabouts.control")


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer to an exception raised in a view; None for a fault of our own."""
    match error:
        case InvalidInput(field=field, problem=problem):
            body: Any = {"webapp": {field: [problem]}} if field in WEBAPP_FIELDS else {field: [problem]}
            return Response(body, status.HTTP_400_BAD_REQUEST)
        case DomainTaken():
            proof = {"proof": error.details["proof"]} if "proof" in error.details else {}
            return Response({"domain_name": [TAKEN], **proof}, status.HTTP_400_BAD_REQUEST)
        case OrderFailed():
            return _order_failed(error)
        case NoCertificate():
            return Response({"detail": str(error)}, status.HTTP_404_NOT_FOUND)
        case NoSuchWebsite() | NoSuchDomain() | Http404() | exceptions.NotFound():
            return Response({"detail": NOT_FOUND}, status.HTTP_404_NOT_FOUND)
        case exceptions.Throttled():
            seconds = max(1, math.ceil(getattr(error, "wait", None) or 1))
            detail = f"Request was throttled. Expected available in {seconds} seconds."
            return Response({"detail": detail}, error.status_code, headers={"Retry-After": str(seconds)})
        case WebsiteDisabled() | MainDomain():
            return Response({"detail": str(error)}, status.HTTP_400_BAD_REQUEST)
        case SupervisorAway():
            answered = Response({"detail": str(error)}, 503, headers={"Retry-After": "2"})
            answered._has_been_logged = True  # type: ignore[attr-defined]  # up says so, once
            return answered
        case OperationalError():
            return Response({"detail": unusable(error)}, 503, headers={"Retry-After": DATABASE_SECONDS})
        case AccountSuspended():  # for an operator: nobody else gets in as it
            return Response({"detail": str(error)}, status.HTTP_403_FORBIDDEN)
        case PermissionDenied() | NoSuchAccount():
            error = exceptions.PermissionDenied()
    return exception_handler(error, context)


def unusable(error: OperationalError) -> str:
    """What to tell whoever meets a database that can't be used, which is noted in the log."""
    _log.error("The database does not do its work: %s", error)
    return _DATABASE.format(error)


def _order_failed(error: OrderFailed) -> Response:
    """A certificate that is not in use: by its owner's fault, the authority's limits, or for now."""
    if error.kind in ("dns", "authority"):
        return Response({"detail": error.problem}, status.HTTP_400_BAD_REQUEST)
    now = time.time()
    limited = error.kind == "limit"
    seconds = max(1, math.ceil((error.retry_at or now + (3600 if limited else 60)) - now))
    detail = error.problem
    if limited:
        moment = datetime.fromtimestamp(now + seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
        detail = f"{detail} Try again after {moment}, in {seconds} seconds."
    code = status.HTTP_429_TOO_MANY_REQUESTS if limited else status.HTTP_503_SERVICE_UNAVAILABLE
    answered = Response({"detail": detail}, code, headers={"Retry-After": str(seconds)})
    answered._has_been_logged = True  # type: ignore[attr-defined]  # whoever asked is told, and who failed logs it
    return answered


def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """404 for a path that nothing serves."""
    return JsonResponse({"detail": NOT_FOUND}, status=404)


def server_error(request: HttpRequest) -> JsonResponse:
    """500: a fault of our own."""
    detail = "Something went wrong on our side. The operator finds what it was in the platform's logs."
    return JsonResponse({"detail": detail}, status=500)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """400 for a request that could not be read."""
    return JsonResponse({"detail": "The request could not be read: check its host name and its body."}, status=400)
