"""What the pages of one website share: whose it is, the tabs, how a change is answered.

A tab is one view and one template: ``@tab("Name", "path", place)`` over a view of (request, website) that ends in
``page(…)``, in a module that ``urls.py`` imports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import URLPattern, re_path, reverse
from django.views.decorators.cache import never_cache

from hereabouts.config import Config
from hereabouts.control import services
from hereabouts.control.dashboard import access, shell
from hereabouts.control.models import Website
from hereabouts.control.states import state
from hereabouts.errors import HereaboutsError, NoSuchDomain, NoSuchWebsite

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True, slots=True)
class _Tab:
    place: int
    name: str
    path: str


_tabs: list[_Tab] = []
_patterns: list[URLPattern] = []


def tab(name: str, path: str, place: int) -> Callable[[View], View]:
    """Register a tab at ``/websites/{domain}/{path}/``; ``place`` orders them from left to right."""

    def register(view: View) -> View:
        _tabs.append(_Tab(place, name, path))
        _tabs.sort(key=lambda each: each.place)
        return action(path)(view)

    return register


def action(path: str) -> Callable[[View], View]:
    """Register a view at ``/websites/{domain}/{path}/``: its URL is called ``website`` or ``website_{first word}``."""

    def register(view: View) -> View:
        word = path.split("/")[0]
        route = rf"^websites/(?P<domain>[^/]+){f'/{path}' if path else ''}/?$"
        guarded = of_website(view)
        _patterns.append(re_path(route, guarded, name=f"website_{word}" if word else "website"))
        return guarded

    return register


def urls() -> list[URLPattern]:
    """The paths of all that is registered."""
    return list(_patterns)


def of_website(view: View) -> View:
    """Give the view the website that the URL names: one's own, for operators anybody's. Else there is nothing."""

    @wraps(view)
    def guarded(request: HttpRequest, domain: str, **kwargs: Any) -> HttpResponseBase:
        who = access.account(request)
        try:
            return view(request, services.find_website(None if who.is_operator else who, domain), **kwargs)
        except (NoSuchWebsite, NoSuchDomain):
            raise Http404 from None

    return access.signed_in(never_cache(guarded))


def url(website: Website, name: str = "website", **kwargs: Any) -> str:
    """The path of a page of the website."""
    return reverse(name, kwargs={"domain": website.domain_name, **kwargs})


def page(
    request: HttpRequest, website: Website, template: str, context: dict[str, Any] | None = None, *, code: int = 200
) -> HttpResponse:
    """A page of one website, with its state and tabs. htmx, which shows no other answers, is always given 200."""
    tabs = [(each.name, url(website, f"website_{each.path}" if each.path else "website")) for each in _tabs]
    found = state(website)
    known: dict[str, Any] = {
        "website": website,
        "domain": website.domain_name,
        "own": website.account_id == access.account(request).pk,
        "address": _config().site_url(website.domain_name),
        "state": found,
        "since": moment(found.since),
        "tabs": shell.tabs(request, *tabs),
    }
    if request.headers.get("HX-Request"):
        code = 200
    return render(request, template, {**known, **(context or {})}, status=code)


def go(
    request: HttpRequest, target: str, said: str = "", *, problem: bool = False, warning: bool = False
) -> HttpResponse:
    """On to another page, with a message there."""
    if said:
        level = messages.ERROR if problem else messages.WARNING if warning else messages.SUCCESS
        messages.add_message(request, level, said)
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": target})
    answer = redirect(target)
    answer.status_code = 303  # See Other: a GET, whatever this was (RFC 9110, 15.4.4)
    return answer


def moment(seconds: float | None) -> datetime | None:
    """For templates."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def problems(error: HereaboutsError) -> dict[str, str]:
    """What is wrong, by the field that it is about; ``form`` where it is about none."""
    return {getattr(error, "field", "form"): str(error)}


def _config() -> Config:
    config: Config = settings.CONFIG
    return config
