"""Who may see a page: those who are signed in, operators. Everybody else is sent to sign in, or told of nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from hereabouts.control import audit
from hereabouts.control.api import throttling
from hereabouts.control.dashboard import sessions
from hereabouts.control.models import Account, Way

_View = Callable[..., HttpResponseBase]


def account(request: HttpRequest) -> Account:
    """Who is signed in; for views under ``signed_in``."""
    return cast(Account, request.user)


def signed_in(view: _View) -> _View:
    """A page for those who are signed in; others sign in first and then come back."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return to_sign_in(request)
        if "%00" in request.META["QUERY_STRING"]:  # which PostgreSQL takes in no text
            raise BadRequest
        if request.method == "POST" and (seconds := throttling.count_form(request)):
            return _too_many(request, seconds)
        sessions.seen(request)
        audit.act_as(account(request).username, Way.DASHBOARD, sessions.address(request))
        return view(request, *args, **kwargs)

    return guarded


def _too_many(request: HttpRequest, seconds: int) -> HttpResponseBase:
    """Nothing was done: said on a page of its own. htmx shows no such page; what it asks from says so, and stays."""
    said = f"That was too much in one minute, and nothing was done. Try again in {seconds} seconds."
    page = render(request, "dashboard/trouble.html", {"title": "Too many forms", "text": said}, status=429)
    page.headers["Retry-After"] = str(seconds)
    return page


def operator_only(view: _View) -> _View:
    """A page for operators; for others it is not there."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not account(request).is_operator:
            raise Http404
        return view(request, *args, **kwargs)

    return signed_in(guarded)


def to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """To the sign-in page and, after a look, back; htmx is told to load the page as a whole."""
    back = request.get_full_path() if request.method == "GET" and not request.headers.get("HX-Request") else ""
    target = reverse("sign_in") + (f"?{urlencode({'next': back})}" if back not in ("", "/") else "")
    if request.headers.get("HX-Request"):
        return HttpResponse(status=401, headers={"HX-Redirect": target})
    return redirect(target)
