"""The page where visitors make an account for themselves, where the operator lets them."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from hereabouts.control import accounts, audit
from hereabouts.control.dashboard import answers, sessions
from hereabouts.control.dashboard.sign_in import let_in, refusal
from hereabouts.control.models import Account, Way
from hereabouts.errors import AccountExists, HereaboutsError, InvalidInput, NoFreeUid


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponseBase:
    """A name and a password; then one is signed in."""
    if not settings.CONFIG.sign_up:
        raise Http404
    if request.user.is_authenticated:
        return redirect("first")
    if request.method != "POST":
        return _page(request, {})
    try:
        account = _create(request)
    except HereaboutsError as error:
        return refusal(_page(request, _errors(error)), error)
    let_in(request, account)
    return answers.see_other(request, f"Welcome, {account.username}.", "first")


def _create(request: HttpRequest) -> Account:
    if request.POST.get("password") != request.POST.get("again"):
        raise InvalidInput("again", "This is not the same as the password. Type both again.")
    name, address = request.POST.get("username", ""), sessions.address(request)
    audit.act_as(name.strip().lower(), Way.DASHBOARD, address)
    return accounts.sign_up(name, request.POST.get("password", ""), address)


def _errors(error: HereaboutsError) -> dict[str, str]:
    if isinstance(error, AccountExists):
        return {"username": "Somebody has that name already. Choose another one."}
    if isinstance(error, NoFreeUid):
        return {"form": "This platform has no room for another account. Ask its operator."}
    return answers.errors_of(error)


def _page(request: HttpRequest, errors: dict[str, str]) -> HttpResponse:
    config = settings.CONFIG
    context = {"errors": errors, "host": config.host, "domain": config.domain, "name": request.POST.get("username", "")}
    return render(request, "dashboard/sign_up.html", context, status=422 if errors else 200)
