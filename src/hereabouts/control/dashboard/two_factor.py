"""The page of the second factor: turned on with the password and an app's code, off with the password."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from hereabouts.control import second_factor, sign_ins
from hereabouts.control.dashboard import access, answers, sessions
from hereabouts.control.dashboard.account import tabs
from hereabouts.control.dashboard.sign_in import refusal
from hereabouts.control.models import Account
from hereabouts.errors import HereaboutsError, WrongCode

_TEMPLATE = "dashboard/account/two_factor.html"


@never_cache
@sensitive_post_parameters()
@access.signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponseBase:
    """Off: the secret for an app, and the code that turns it on. On: new recovery codes, and turning it off."""
    account = access.account(request)
    if request.method != "POST":
        return _page(request, account, {})
    wanted = request.POST.get("do", "")
    try:
        if wanted == "on":
            sign_ins.check_again(account, request.POST.get("password", ""), sessions.address(request))
            return _codes(request, second_factor.turn_on(account, request.POST.get("code", "")))
        if wanted in ("off", "codes") and second_factor.is_on(account):
            sign_ins.check_again(account, request.POST.get("password", ""), sessions.address(request))
            if wanted == "codes":
                return _codes(request, second_factor.renew_codes(account))
            second_factor.turn_off(account)
            return answers.see_other(request, "The second factor is off.", "account_two_factor")
    except HereaboutsError as error:
        (problem,) = answers.errors_of(error).values()
        where = "code" if isinstance(error, WrongCode) else wanted
        return refusal(_page(request, account, {where: problem}), error)
    return _page(request, account, {})


def _codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    return answers.once(request, _TEMPLATE, {"tabs": tabs(request), "is_on": True, "new_codes": codes})


def _page(request: HttpRequest, account: Account, errors: dict[str, str]) -> HttpResponse:
    is_on = second_factor.is_on(account)
    context: dict[str, Any] = {"tabs": tabs(request), "is_on": is_on, "errors": errors}
    if is_on:
        context["codes_left"] = second_factor.codes_left(account)
    else:
        # A wrong code does not change the picture that was scanned; who comes anew gets another one.
        factor = second_factor.begun(account) if errors else second_factor.begin(account)
        secret = second_factor.secret(factor)
        groups = [secret[at : at + 4] for at in range(0, len(secret), 4)]
        context |= {"secret": " ".join(groups), "picture": second_factor.picture(factor)}
    page = render(request, _TEMPLATE, context, status=422 if errors else 200)
    page.headers["Cache-Control"] = "no-store"
    return page
