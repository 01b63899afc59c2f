"""Signing in, with a code where the account has a second factor, and out."""

from __future__ import annotations

import time

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import BaseBackend
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from hereabouts.control import audit, second_factor, sign_ins
from hereabouts.control.dashboard import sessions
from hereabouts.control.models import Account, Action, Way
from hereabouts.errors import AccountSuspended, TooManyTries, WrongCode, WrongPassword

_HALFWAY = "halfway"
_HALFWAY_SECONDS = 300.0


class Accounts(BaseBackend):
    """Whose a session is. Who may begin one is decided by sign_ins."""

    def get_user(self, user_id: int) -> Account | None:
        """The account of a session; None once it is suspended or gone."""
        return Account.objects.filter(pk=user_id, is_active=True).first()


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """The sign-in page; a good name and password lead on to ``next``, by way of the code where there is one."""
    target = next_page(request)
    if request.user.is_authenticated:
        return redirect(target)
    if request.method != "POST":
        return _page(request, target)
    name, address = request.POST.get("username", ""), sessions.address(request)
    audit.act_as("", Way.DASHBOARD, address)
    try:
        account = sign_ins.check(name, request.POST.get("password", ""), address)
    except (WrongPassword, AccountSuspended, TooManyTries) as error:
        return refusal(_page(request, target, name=name, problem=str(error)), error)
    if not second_factor.is_on(account):
        let_in(request, account)
        return redirect(target)
    request.session.flush()
    request.session[_HALFWAY] = [account.pk, account.get_session_auth_hash(), time.time(), target]
    request.session.set_expiry(int(_HALFWAY_SECONDS))
    return redirect("sign_in_code")


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponseBase:
    """The second page of signing in, for those whose password was right a moment ago."""
    found = _halfway(request)
    if found is None:
        return redirect("sign_in")
    account, target = found
    if request.method == "POST":
        address = sessions.address(request)
        audit.act_as(account.username, Way.DASHBOARD, address)
        try:
            sign_ins.check_code(account, request.POST.get("code", "")[:100], address)
        except (WrongCode, TooManyTries) as error:
            page = render(request, "dashboard/sign_in_code.html", {"problem": str(error)}, status=422)
            return refusal(page, error)
        del request.session[_HALFWAY]
        request.session.set_expiry(None)
        let_in(request, account)
        return redirect(target)
    return render(request, "dashboard/sign_in_code.html", {})


def _halfway(request: HttpRequest) -> tuple[Account, str] | None:
    """Who has shown a password and not yet a code, and where to go then. What lies too far back does not count."""
    if request.user.is_authenticated or _HALFWAY not in request.session:
        return None
    number, proof, since, target = request.session[_HALFWAY]
    account = Account.objects.filter(pk=number, is_active=True).first()
    fresh = 0 <= time.time() - since <= _HALFWAY_SECONDS
    if account is None or not fresh or account.get_session_auth_hash() != proof:
        return None
    return account, target


def let_in(request: HttpRequest, account: Account) -> None:
    """Begin a session, under a new key."""
    auth.login(request, account)
    sessions.describe(request)
    sign_ins.forget_expired()
    audit.act_as(account.username, Way.DASHBOARD, sessions.address(request))
    with transaction.atomic():
        audit.note(Action.SIGN_IN, account.username)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponseBase:
    """End this session."""
    if isinstance(request.user, Account):
        audit.act_as(request.user.username, Way.DASHBOARD, sessions.address(request))
        audit.note(Action.SIGN_OUT, request.user.username)
    auth.logout(request)
    return redirect("sign_in")


def refusal(page: HttpResponse, error: Exception) -> HttpResponse:
    """The page as an answer to what failed: 429 with the time to wait, where that is the matter."""
    if isinstance(error, TooManyTries):
        page.status_code = 429
        page.headers["Retry-After"] = str(error.details["seconds"])
    return page


def _page(request: HttpRequest, target: str, *, name: str = "", problem: str = "") -> HttpResponse:
    config = settings.CONFIG
    context = {"next": target, "name": name, "problem": problem, "host": config.host, "may_sign_up": config.sign_up}
    return render(request, "dashboard/sign_in.html", context, status=422 if problem else 200)


def next_page(request: HttpRequest) -> str:
    """Where to go then: a page of ours, or the first."""
    wanted = request.POST.get("next") or request.GET.get("next") or "/"
    ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=True)
    return wanted if ours and wanted.startswith("/") else "/"
