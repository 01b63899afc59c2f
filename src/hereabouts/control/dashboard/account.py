"""The account's own pages: its API token, its password, where it is signed in. The second factor's are beside."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from hereabouts.control import accounts, services, sign_ins
from hereabouts.control.dashboard import access, agents, answers, sessions, shell
from hereabouts.control.dashboard.sign_in import refusal
from hereabouts.control.models import Account, Session
from hereabouts.errors import HereaboutsError, InvalidInput

_PAGES = (
    ("API token", "account_token"),
    ("Password", "account_password"),
    ("Sessions", "account_sessions"),
    ("Two-factor", "account_two_factor"),
)
AUTHORITIES = "hereabouts-authorities.pem"


def tabs(request: HttpRequest) -> list[shell.Place]:
    """The account's pages."""
    return shell.tabs(request, *((name, reverse(view)) for name, view in _PAGES))


@access.signed_in
@require_safe
def first(request: HttpRequest) -> HttpResponseBase:
    """The first of them."""
    return redirect("account_token")


@never_cache
@access.signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def token(request: HttpRequest) -> HttpResponseBase:
    """The API token: when it was used, a new one. One is shown right after it was made, and never again."""
    account = access.account(request)
    context: dict[str, Any] = {"tabs": tabs(request), "account": account, "site": settings.CONFIG.site}
    if request.method != "POST":
        return render(request, "dashboard/account/token.html", context)
    if account.token_hash is not None:
        asked = answers.confirm(
            request, title="Revoke the API token and make a new one?", back=request.path, button="Revoke and renew",
            text="The token of now ends at once, and with it the one that your websites and consoles carry until they "
            "are started again. Programs that use it are refused until they have the new one.",
        )  # fmt: skip
        if asked is not None:
            return asked
    created = services.create_token(account)
    lines = accounts.exports(account, created, _bundle())
    context |= {"token": created, "exports": lines, "authorities": _bundle() if _is_elsewhere() else ""}
    return answers.once(request, "dashboard/account/token.html", context)


def _bundle() -> str:
    """Where whoever copies the lines finds what the platform's certificate is trusted by; empty: it is anyway."""
    config = settings.CONFIG
    if config.site_certificates != "local":
        return ""
    return f"$HOME/{AUTHORITIES}" if _is_elsewhere() else str(config.ca_bundle)


def _is_elsewhere() -> bool:
    """Whether people use this platform from other machines, to which they have to bring its authority."""
    return settings.CONFIG.site_certificates == "local" and not settings.CONFIG.local


@access.signed_in
@require_safe
def authorities(request: HttpRequest) -> HttpResponseBase:
    """The usual authorities and this platform's own, for clients on other machines."""
    try:
        file = settings.CONFIG.ca_bundle.open("rb")
    except OSError:
        raise Http404 from None
    return FileResponse(file, as_attachment=True, filename=AUTHORITIES, content_type="application/x-pem-file")


@never_cache
@sensitive_post_parameters()
@access.signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponseBase:
    """Another password; whoever is signed in elsewhere is signed out."""
    account = access.account(request)
    if request.method != "POST":
        return _password_page(request, {})
    try:
        if request.POST.get("new") != request.POST.get("again"):
            raise InvalidInput("again", "This is not the same as the new password. Type both again.")
        sign_ins.check_again(account, request.POST.get("password", ""), sessions.address(request))
        _change(request, account)
    except HereaboutsError as error:
        return refusal(_password_page(request, answers.errors_of(error, "password")), error)
    return answers.see_other(
        request, "The password is changed. Wherever else you were signed in, you are signed out.", "account_password"
    )


def _change(request: HttpRequest, account: Account) -> None:
    try:
        accounts.change_password(account, request.POST.get("new", ""), keep=request.session.session_key)
    except InvalidInput as weak:
        raise InvalidInput("new", weak.problem) from None
    update_session_auth_hash(request, account)


def _password_page(request: HttpRequest, errors: dict[str, str]) -> HttpResponse:
    context = {"tabs": tabs(request), "errors": errors}
    return render(request, "dashboard/account/password.html", context, status=422 if errors else 200)


@never_cache
@access.signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def session_list(request: HttpRequest) -> HttpResponseBase:
    """The browsers in which somebody is signed in; each of the others may be signed out, or all."""
    account, own = access.account(request), request.session.session_key
    found = list(sign_ins.sessions(account))
    if request.method == "POST":
        message = _end(request.POST.get("session", ""), account, [each for each in found if each.pk != own], own)
        return answers.see_other(request, message, "account_sessions")
    shown = [
        {
            "handle": _handle(each),
            "browser": agents.describe(each.agent),
            "address": each.address,
            "signed_in": datetime.fromtimestamp(each.signed_in_at, UTC),
            "seen": datetime.fromtimestamp(each.seen_at, UTC),
            "is_this": each.pk == own,
        }
        for each in found
    ]
    shown.sort(key=lambda each: not each["is_this"])
    return render(request, "dashboard/account/sessions.html", {"tabs": tabs(request), "sessions": shown})


def _end(wanted: str, account: Account, others: list[Session], own: str | None) -> str:
    """End the session with that handle, or all ``others``. Returns what became of it."""
    if wanted == "others":
        sign_ins.end_sessions(account, keep=own)
        return "All other sessions are ended."
    for each in others:
        if _handle(each) == wanted:
            sign_ins.end_session(each)
            return f"{agents.describe(each.agent)} is signed out."
    return "That session had ended already."


def _handle(session: Session) -> str:
    """What stands for a session in a page: its key, which lets somebody in, does not leave the cookie."""
    return hashlib.sha256(session.pk.encode()).hexdigest()[:20]
