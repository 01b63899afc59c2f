"""The operator's pages about accounts: all of them, a new one, and what is done to one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from hereabouts.control import accounts, asking, second_factor, services, sign_ins
from hereabouts.control.dashboard import access, answers
from hereabouts.control.dashboard.operator import paged, query, tabs
from hereabouts.control.models import Account, Website
from hereabouts.errors import AccountExists, HereaboutsError, NoSuchAccount, NotAllowed

_MOST_POKES = 100
_LIST, _ONE = "dashboard/operator/accounts.html", "dashboard/operator/account.html"


@never_cache
@sensitive_post_parameters("password")
@access.operator_only
@require_http_methods(["GET", "HEAD", "POST"])
def account_list(request: HttpRequest) -> HttpResponseBase:
    """All accounts, or those with a part of a name; a form for a new one."""
    if request.method != "POST":
        return _list(request, {})
    name, password = request.POST.get("username", ""), request.POST.get("password", "")
    shown = password or accounts.random_password()
    try:
        created = accounts.create(name, shown, operator=request.POST.get("operator") == "yes")
    except AccountExists:
        return _list(request, {"username": "An account of that name exists already. Choose another one."})
    except HereaboutsError as error:
        return _list(request, answers.errors_of(error))
    if password:
        return answers.see_other(
            request, f"The account {created.username} is made.", "operator_account", created.username
        )
    return _once(request, created, shown, f"The account {created.username} is made.")


def _list(request: HttpRequest, errors: Mapping[str, str]) -> HttpResponse:
    text = request.GET.get("q", "").strip().lower()
    found = services.accounts().annotate(site_count=Count("websites")).filter(username__contains=text)
    context = {
        "tabs": tabs(request), "page": paged(request, found), "q": text, "query": query(request), "errors": errors,
        "given": request.POST,
    }  # fmt: skip
    return render(request, _LIST, context, status=422 if errors else 200)


@never_cache
@access.operator_only
@require_http_methods(["GET", "HEAD", "POST"])
def one_account(request: HttpRequest, name: str) -> HttpResponseBase:
    """One account, and what may be done to it; each is asked about before."""
    try:
        account = services.find_account(name)
    except NoSuchAccount:
        raise Http404 from None
    if request.method != "POST":
        return _one(request, account)
    deed = _DEEDS.get(request.POST.get("do", ""))
    if deed is None:
        return _one(request, account)
    own = account.pk == access.account(request).pk
    if own and deed.others_only:
        return _one(request, account, str(NotAllowed(problem="That can't be done to your own account from here.")))
    return _do(request, account, deed)


def _do(request: HttpRequest, account: Account, deed: _Deed) -> HttpResponseBase:
    name = account.username
    asked = answers.confirm(
        request, title=deed.title.format(name), text=deed.text, button=deed.button,
        back=reverse("operator_account", args=[name]),
    )  # fmt: skip
    if asked is not None:
        return asked
    secret = deed.act(account)
    if secret:
        return _once(request, account, secret, deed.done.format(name))
    return answers.see_other(request, deed.done.format(name), "operator_account", name)


def _one(request: HttpRequest, account: Account, problem: str = "") -> HttpResponse:
    counts = account.websites.aggregate(all=Count("pk"), enabled=Count("pk", filter=Q(enabled=True)))
    context = {
        "tabs": tabs(request), "account": account, "problem": problem, "counts": counts,
        "sessions": sign_ins.sessions(account).count(), "second_factor": second_factor.is_on(account),
        "own": account.pk == access.account(request).pk,
    }  # fmt: skip
    return render(request, _ONE, context, status=422 if problem else 200)


def _once(request: HttpRequest, account: Account, password: str, done: str) -> HttpResponse:
    """The account's new password, which is shown on this page alone."""
    context: dict[str, Any] = {"tabs": tabs(request), "account": account, "password": password, "done": done}
    return answers.once(request, "dashboard/operator/password.html", context)


@dataclass(frozen=True, slots=True)
class _Deed:
    """What may be done to an account. ``act`` returns what is to be shown once, if anything."""

    title: str
    text: str
    button: str
    done: str
    act: Callable[[Account], str | None]
    others_only: bool = False


def _suspend(account: Account) -> None:
    _look(accounts.suspend(account))


def _resume(account: Account) -> None:
    _look(accounts.resume(account))


def _end_sessions(account: Account) -> None:
    sign_ins.end_sessions(account)


def _look(websites: Iterable[Website]) -> None:
    """Have the supervisor look at these at once; it comes to all others by itself."""
    for website in list(websites)[:_MOST_POKES]:
        if asking.settle(website.pk, 0, 0) is None:  # nor would it answer for the next
            return


_DEEDS: Mapping[str, _Deed] = {
    "suspend": _Deed(
        "Suspend {}?",
        "Nobody gets in as this account any more, by password or token, and its websites are disabled. Its files, "
        "websites and tokens stay, and are as before when the suspension ends.",
        "Suspend", "{} is suspended.", _suspend, others_only=True,
    ),
    "resume": _Deed(
        "End the suspension of {}?",
        "Password and tokens are good again, and the websites that were enabled before are enabled again.",
        "End the suspension", "{} is suspended no more.", _resume,
    ),
    "reset": _Deed(
        "Reset the password of {}?",
        "The account gets a new random password, which you are shown once, and is signed out everywhere.",
        "Reset the password", "{} has a new password.", accounts.reset_password, others_only=True,
    ),
    "sign-out": _Deed(
        "Sign {} out everywhere?", "Every session of this account ends. Its API token stays.",
        "Sign out everywhere", "{} is signed out everywhere.", _end_sessions, others_only=True,
    ),
    "revoke": _Deed(
        "Revoke the API token of {}?",
        "The token ends at once, and so does the one that the account's running sandboxes carry.",
        "Revoke the token", "{} has no API token any more.", services.revoke_token,
    ),
    "second-factor": _Deed(
        "Turn off the second factor of {}?",
        "The password alone lets in then. Do this for somebody who has lost phone and recovery codes, and only if "
        "you are sure who asks.",
        "Turn it off", "{} has no second factor any more.", second_factor.turn_off, others_only=True,
    ),
}  # fmt: skip
