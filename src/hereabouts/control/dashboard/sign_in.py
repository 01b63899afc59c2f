"""Signing in and out."""

from __future__ import annotations

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from hereabouts.control.dashboard import sessions
from hereabouts.control.models import Account

WRONG = "That name and password do not belong together. Both are case sensitive, except the name."


class Passwords(BaseBackend):
    """Accounts by name and password."""

    def authenticate(  # type: ignore[override]  # the parent takes anything
        self, request: HttpRequest | None, username: str = "", password: str = ""
    ) -> Account | None:
        """The account; None for nobody's, after the same time as for somebody's wrong password."""
        account = Account.objects.filter(username=username.strip().lower(), is_active=True).first()
        if account is None:
            make_password(password)
            return None
        return account if account.check_password(password) else None

    def get_user(self, user_id: int) -> Account | None:
        """The account of a session."""
        return Account.objects.filter(pk=user_id, is_active=True).first()


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """The sign-in page; a good name and password lead on to ``next``."""
    target = _next(request)
    if request.user.is_authenticated:
        return redirect(target)
    name = request.POST.get("username", "")
    if request.method != "POST":
        return _page(request, target)
    account = auth.authenticate(request, username=name, password=request.POST.get("password", ""))
    if account is None:
        return _page(request, target, name=name, problem=WRONG, code=422)
    auth.login(request, account)  # under a new session key
    sessions.describe(request)
    return redirect(target)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponseBase:
    """End this session."""
    auth.logout(request)
    return redirect("sign_in")


def _page(request: HttpRequest, target: str, *, name: str = "", problem: str = "", code: int = 200) -> HttpResponse:
    context = {"next": target, "name": name, "problem": problem, "host": settings.CONFIG.host}
    return render(request, "dashboard/sign_in.html", context, status=code)


def _next(request: HttpRequest) -> str:
    """Where to go then: a page of ours, or the first."""
    wanted = request.POST.get("next") or request.GET.get("next") or "/"
    ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=True)
    return wanted if ours else "/"
