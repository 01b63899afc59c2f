"""The first page, and what is shown where there is none."""

from __future__ import annotations

import sys

from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import OperationalError
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from hereabouts.control.api import errors
from hereabouts.control.dashboard import access

_API = "/api/"


def first(request: HttpRequest) -> HttpResponseBase:
    """The websites of who is signed in."""
    if not request.user.is_authenticated:
        return access.to_sign_in(request)
    return redirect("websites")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    """404, as a page or as the API says it."""
    if request.path.startswith(_API):
        return errors.not_found(request, exception)
    return _trouble(request, "There is nothing here", "The address may be mistyped, or what was here is gone.", 404)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    """400 for a request that could not be read; where the session ended meanwhile, to sign in."""
    if request.path.startswith(_API):
        return errors.bad_request(request, exception)
    if isinstance(exception, SessionInterrupted):
        return access.to_sign_in(request)
    return _trouble(request, "This request could not be read", "Go back, load the page again, and try once more.", 400)


def refused(request: HttpRequest, exception: Exception | None = None, reason: str = "") -> HttpResponseBase:
    """403, for a form that was not sent from a page of ours, or from one that was open too long."""
    text = "The page was open for too long, or cookies are off. Go back, load it again, and repeat what you did."
    return _trouble(request, "This form could not be taken", text, 403)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """500: a fault of our own; 503 while the database can't be used."""
    if request.path.startswith(_API):
        return errors.server_error(request)
    error = sys.exc_info()[1]
    if isinstance(error, OperationalError):
        return _unusable(request, error)
    return _trouble(
        request, "Something went wrong on our side", "The operator finds what it was in the platform's logs.", 500
    )


def _unusable(request: HttpRequest, error: OperationalError) -> HttpResponseBase:
    """A page that asks the database for nothing."""
    if not hasattr(request, "_cached_user"):
        request.user = AnonymousUser()
    text, title = errors.unusable(error).replace("`", ""), "The database can't be used now"
    answer = render(request, "dashboard/trouble.html", {"title": title, "text": text, "messages": []}, status=503)
    answer.headers["Retry-After"] = errors.DATABASE_SECONDS
    answer._has_been_logged = True  # type: ignore[attr-defined]
    return answer


def _trouble(request: HttpRequest, title: str, text: str, code: int) -> HttpResponseBase:
    return render(request, "dashboard/trouble.html", {"title": title, "text": text}, status=code)
