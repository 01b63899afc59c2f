"""A new website: choose a framework, see what to type, name it, and watch it start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hereabouts.config import Config
from hereabouts.control import asking, claims, domains, services
from hereabouts.control.dashboard import access, fields, one, recipes
from hereabouts.control.models import Account, Domain, Website
from hereabouts.control.states import UNATTENDED, state
from hereabouts.core.domains import is_custom
from hereabouts.core.webapp import Status
from hereabouts.errors import DomainTaken, HereaboutsError, InvalidInput, NoSuchAccount


@access.signed_in
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form, and the creation; with ``show`` the form again, for browsers without JavaScript."""
    if request.method != "POST" or "show" in request.POST:
        return _form(request)
    account = access.account(request)
    name, command = request.POST.get("domain_name", ""), request.POST.get("command", "")
    wanted, problems = fields.read(request.POST, (*fields.TAKEOVER, *fields.HTTPS))
    if problems:
        return _form(request, problems)
    wanted["command"], enabled = command, "disabled" not in request.POST
    try:
        website = claims.take(
            account,
            name,
            lambda former: services.create_website(account, name, wanted, enabled=enabled, former=former),
        )
    except (InvalidInput, DomainTaken, NoSuchAccount) as error:
        return _form(request, _problems(error), error.details.get("proof"))
    return _created(request, website)


def _created(request: HttpRequest, website: Website) -> HttpResponse:
    """On to the website's page: at once where its steps can be seen there, else when it has settled."""
    watched = bool(request.headers.get("HX-Request")) and website.enabled
    settled = asking.settle(website.pk, website.generation, 0 if watched else None)
    if is_custom(website.domain_name, settings.CONFIG.domain):
        asking.look(website.domain_name)
    if watched and settled is not None:
        return one.go(request, f"{one.url(website)}?watch={website.generation}")
    if settled is None:
        return one.go(request, one.url(website), UNATTENDED, problem=True)
    if not website.enabled:
        return one.go(request, one.url(website), f"{website.domain_name} is there, disabled: enable it to start it.")
    if state(services.latest(website)).status is Status.RUNNING:
        return one.go(request, one.url(website), f"{website.domain_name} is there, and serves.")
    return one.go(request, one.url(website), f"{website.domain_name} is there, but does not serve yet.", problem=True)


@access.signed_in
@never_cache
@require_POST
def recipe(request: HttpRequest) -> HttpResponse:
    """What to type for the framework and name that are chosen now, with the command: a part of the form.

    It is sent as the body of a request: a command may hold a password, and addresses are logged.
    """
    return render(request, "dashboard/_recipe.html", _chosen(access.account(request), request.POST.dict()))


@access.signed_in
@never_cache
@require_safe
def name(request: HttpRequest) -> HttpResponse:
    """Whether the name that is being typed can be taken: a sentence of the form."""
    account, text = access.account(request), request.GET.get("domain_name", "")
    good, said = _judge(account, text) if text.strip() else (True, _names_of(account))
    return render(request, "dashboard/_name.html", {"good": good, "said": said, "typed": bool(text.strip())})


def _judge(account: Account, text: str) -> tuple[bool, str]:
    try:
        name = domains.parse_owned(account, text)
    except InvalidInput as error:
        return False, error.problem
    holder = Domain.objects.filter(name=name).values_list("website__account", flat=True).first()
    if holder is None:
        return True, f"{name} is free."
    if holder == account.pk:
        return False, f"{name} is one of your own websites already."
    if not is_custom(name, settings.CONFIG.domain):
        return False, str(DomainTaken(domain=name))
    return (
        False,
        f"{name} belongs to a website here. Go on if it is yours: a DNS record can prove that.",
    )


def _form(request: HttpRequest, problems: Mapping[str, str] | None = None, proof: object = None) -> HttpResponse:
    account = access.account(request)
    posted = request.method == "POST"
    # A link here may choose the framework, and nothing that somebody could take for his own.
    given = request.POST.dict() if posted else {"framework": request.GET.get("framework", "")}
    fresh = fields.stored(Website())
    shown = {**fresh, **fields.sent(request.POST)} if posted else fresh
    context = {
        **_chosen(account, given),
        "frameworks": recipes.FRAMEWORKS,
        "names": _names_of(account),
        "problems": problems or {},
        "proof": proof,
        "given": shown,
        "more": any(shown[name] != fresh[name] for name in (*fields.TAKEOVER, *fields.HTTPS)) or "disabled" in given,
    }
    code = 422 if problems and not request.headers.get("HX-Request") else 200
    return render(request, "dashboard/new.html", context, status=code)


def _problems(error: HereaboutsError) -> dict[str, str]:
    return {"domain_name": str(error)} if isinstance(error, DomainTaken) else one.problems(error)


def _chosen(account: Account, given: Mapping[str, str]) -> dict[str, Any]:
    """What the form holds now. A command that was filled in follows name and framework until somebody edits it."""
    sites = _config().domain
    framework = given.get("framework") or recipes.FRAMEWORKS[0][0]
    if framework not in dict(recipes.FRAMEWORKS):
        framework = "own"
    domain_name = given.get("domain_name", _suggested(account))
    found = recipes.recipe(framework, account.username, domain_name or account.username, sites)
    command, filled_in = given.get("command", ""), given.get("filled_in", "")
    edited = bool(command) and command != filled_in
    return {
        "framework": framework,
        "domain_name": domain_name,
        "recipe": found,
        "command": command if edited else found.command,
        "edited": edited and command != found.command,
    }


def _suggested(account: Account) -> str:
    """The account's first name, while nobody has it."""
    name = f"{account.username}.{_config().domain}"
    return "" if Domain.objects.filter(name=name).exists() else name


def _names_of(account: Account) -> str:
    user, sites = account.username, _config().domain
    return f"{user}.{sites}, anything-{user}.{sites}, or a domain of your own."


def _config() -> Config:
    config: Config = settings.CONFIG
    return config
