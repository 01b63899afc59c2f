"""One website: how it is, reload with its steps, on and off, its command, its end."""

from __future__ import annotations

import time
from typing import Any, cast

from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hereabouts.control import asking, metrics, reloads, services
from hereabouts.control.bodies import ARRIVED
from hereabouts.control.dashboard import charts, fields, live, one
from hereabouts.control.models import Website
from hereabouts.control.states import UNATTENDED, state
from hereabouts.core.webapp import Status, log_name
from hereabouts.errors import AccountSuspended, InvalidInput, SupervisorAway, WebsiteDisabled

_UNSETTLED = frozenset({Status.STARTING, Status.RESTARTING})
_QUICK, _CALM = 0.3, 2.0
"""After how many seconds the page looks again: at a start that goes on, and at a website that will be tried again."""


@one.tab("Overview", "", 10)
@require_safe
def overview(request: HttpRequest, website: Website) -> HttpResponse:
    """How the website is, and its latest start; ``watch`` is the generation of a start that was just asked for."""
    log = log_name(website.domain_name, website.pk)
    period = request.GET.get("period", "")
    period = period if period in metrics.PERIODS else "hour"
    context = {
        "period": period,
        "periods": list(metrics.PERIODS),
        "charts": charts.of_website(website.pk, period, time.time()),
        "logs": [f"/var/log/{log}.{kind}.log" for kind in ("error", "server", "access")],
        "health": website.health_path,
        "live": live.show(request, *_progress(website, _generation(request, website, "watch"))),
    }
    return one.page(request, website, "dashboard/website.html", context)


@one.action("steps")
@require_safe
def steps(request: HttpRequest, website: Website) -> HttpResponse:
    """How the website is and how its start stands: parts of the overview, which asks again until it has settled."""
    return live.answer(request, *_progress(website, _generation(request, website, "generation")))


def _generation(request: HttpRequest, website: Website, name: str) -> int:
    given = request.GET.get(name, "")
    return min(int(given), website.generation) if given.isdecimal() and len(given) < 16 else website.generation


_Parts = tuple[live.Place, dict[str, Any], float | None]


def _progress(website: Website, generation: int) -> _Parts:
    """What is to be told of a start: its steps, whether it goes on, how it ended, when to look again."""
    seen = getattr(website, "observation", None)
    serving, failed = (seen.serving, seen.failed) if seen else (0, 0)
    try:
        told = asking.steps(website.pk)
    except SupervisorAway:
        told = {"steps": [], "problem": None, "generation": generation}
    known = told["steps"] if told["generation"] >= generation and website.enabled else []
    done = serving >= generation
    over = done or failed >= generation or not website.enabled
    found = state(website)
    context = {
        "domain": website.domain_name,
        "state": found,
        "since": one.moment(found.since),
        "steps": [{**step, "seconds": f"{step['seconds']:.2f}"} for step in known],
        "took": f"{sum(step['seconds'] for step in known):.1f}",
        "over": over,
        "done": done,
        "from_processes": bool(seen and seen.detail),
        "stays": bool(serving) and over and not done,
    }
    address = f"{one.url(website, 'website_steps')}?generation={generation}"
    templates = {"state": "dashboard/_state.html", "steps": "dashboard/_steps.html"}
    unsettled = website.enabled and found.status in _UNSETTLED
    every = _QUICK if not over else _CALM if unsettled else None
    return live.Place("progress", address, templates), context, every


@one.action("reload")
@require_POST
def reload(request: HttpRequest, website: Website) -> HttpResponse:
    """Start a new process beside the old one: htmx is shown the steps, others are answered when it has settled."""
    arrived = cast(ASGIRequest, request).scope[ARRIVED]
    try:
        generation = reloads.reload_website(website, arrived)
    except WebsiteDisabled as error:
        return one.go(request, one.url(website), str(error), problem=True)
    return _answer(request, website, generation, "The new process serves.")


@one.action("enabled")
@require_POST
def enabled(request: HttpRequest, website: Website) -> HttpResponse:
    """Switch the website on or off."""
    wanted = request.POST.get("enabled") == "yes"
    try:
        generation = services.change_website(website, enabled=wanted)
    except AccountSuspended as error:
        return one.go(request, one.url(website), str(error), problem=True)
    if wanted:
        return _answer(request, website, generation, f"{website.domain_name} is enabled, and serves.")
    settled = asking.settle(website.pk, generation)
    said = f"{website.domain_name} is disabled: visitors see a page that says so."
    return _done(request, website, "website", said, settled)


def _answer(request: HttpRequest, website: Website, generation: int, said: str) -> HttpResponse:
    """The answer to a change that starts a process."""
    if request.headers.get("HX-Request"):
        if asking.settle(website.pk, generation, 0) is not None:
            if request.headers.get("HX-Target") == "progress":
                parts = live.show(request, *_progress(services.latest(website), generation))
                return render(request, "dashboard/_progress.html", {"domain": website.domain_name, "live": parts})
            return one.go(request, f"{one.url(website)}?watch={generation}")
        return one.go(request, one.url(website), UNATTENDED, problem=True)
    outcome = reloads.outcome(website, generation, asking.settle(website.pk, generation))
    done = outcome.kind == "done"
    if not done:
        said = f"The new process does not serve: {outcome.message}" if "failed" in outcome.kind else outcome.message
    return one.go(request, one.url(website), said, problem=not done)


@one.tab("Command", "command", 20)
@require_http_methods(["GET", "HEAD", "POST"])
def command(request: HttpRequest, website: Website) -> HttpResponse:
    """The command and how a new process takes over; ``preview`` tells what would change, without changing it."""
    if request.method != "POST":
        return one.page(request, website, "dashboard/command.html", {"given": fields.stored(website)})
    wanted, problems = fields.read(request.POST, _LABELS)
    context: dict[str, Any] = {"given": {**fields.stored(website), **fields.sent(request.POST)}, "problems": problems}
    changes = _changes(website, wanted)
    if problems or "preview" in request.POST or not changes:
        context |= {"changes": changes, "previewed": not problems}
        return one.page(request, website, "dashboard/command.html", context, code=422 if problems else 200)
    try:
        generation = services.change_website(website, wanted)
    except InvalidInput as error:
        context["problems"] = one.problems(error)
        return one.page(request, website, "dashboard/command.html", context, code=422)
    return _changed(request, website, generation, changes)


def _changed(request: HttpRequest, website: Website, generation: int, changes: list[dict[str, Any]]) -> HttpResponse:
    if website.enabled and any(change["name"] == "command" for change in changes):
        return _answer(request, website, generation, "The command is changed, and the new process serves.")
    settled = asking.settle(website.pk, generation)
    said = "Saved. It counts from the next start or reload on."
    return _done(request, website, "website_command", said, settled)


def _done(request: HttpRequest, website: Website, page: str, said: str, settled: bool | None) -> HttpResponse:
    """The answer to a change that starts nothing; ``settled`` is None where the supervisor did not answer."""
    away = settled is None
    return one.go(request, one.url(website, page), UNATTENDED if away else said, problem=away)


_LABELS = {
    "command": "Command", "stop_first": "Old process first", "health_path": "Health check",
    "health_status": "Expected status", "health_seconds": "Seconds for the check",
}  # fmt: skip


def _changes(website: Website, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """What would be different."""
    before = {name: getattr(website, name) for name in wanted}
    return [
        {"name": name, "label": label, "before": _words(before[name]), "after": _words(wanted[name])}
        for name, label in _LABELS.items()
        if name in wanted and wanted[name] != before[name]
    ]


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "ends before the new one starts" if value else "serves until the new one does"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


@one.tab("Danger zone", "delete", 90)
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, website: Website) -> HttpResponse:
    """Delete the website, once its name was typed."""
    name = website.domain_name
    if request.method != "POST":
        return one.page(request, website, "dashboard/delete.html")
    if request.POST.get("confirmed", "").strip().lower() != name:
        problem = {"confirmed": f"Nothing was deleted. To delete the website type its name, {name}."}
        return one.page(request, website, "dashboard/delete.html", {"problems": problem}, code=422)
    number, generation = website.pk, website.generation
    services.delete_website(website)
    if asking.settle(number, generation) is None:
        messages.warning(request, f"{name} is deleted. {UNATTENDED}")
    else:
        messages.success(request, f"{name} is deleted. Its files are still in the home of {website.account.username}.")
    return one.go(request, reverse("websites"))
