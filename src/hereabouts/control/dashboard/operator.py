"""The operator's pages about the platform: its health, all websites, all certificates, who did what."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.cache import cache
from django.core.paginator import Page, Paginator
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hereabouts.control import asking, audit, certificate_list, metrics
from hereabouts.control.dashboard import access, shell
from hereabouts.control.models import Account, Action, AuditEntry, Domain
from hereabouts.core.webapp import Status

_PAGES = (
    ("Health", "operator"),
    ("Accounts", "operator_accounts"),
    ("Websites", "operator_websites"),
    ("Certificates", "operator_certificates"),
    ("Audit log", "operator_audit"),
)
_ORDERS = (("", "name"), ("state", "state"), ("memory_bytes", "memory"), ("requests", "requests"))
_ON_A_PAGE = 100
_FIGURES_SECONDS = 10
"""How long the memory and requests of all websites are good for: it takes a while to look at thousands."""


def tabs(request: HttpRequest) -> list[shell.Place]:
    """The operator's pages."""
    return shell.tabs(request, *((name, reverse(view)) for name, view in _PAGES))


@never_cache
@access.operator_only
@require_safe
def health(request: HttpRequest) -> HttpResponseBase:
    """The platform's processes, its disk and versions, what went wrong last, and how the websites are."""
    found = asking.health()
    states = Counter(row["state"] for row in _websites())
    context: dict[str, Any] = {
        "tabs": tabs(request),
        "health": found,
        "states": [(state.value, states[state.value]) for state in Status if states[state.value]],
        "accounts": Account.objects.count(),
        "suspended": Account.objects.filter(is_active=False).count(),
    }
    if found is not None:
        disk = found["disk"]
        context["used_percent"] = round(100 * (1 - disk["free_bytes"] / max(1, disk["total_bytes"])))
        for process in found["processes"]:
            process["since"] = datetime.fromtimestamp(process["since"], UTC) if process["since"] else None
    return render(request, "dashboard/operator/health.html", context)


def _websites() -> list[dict[str, Any]]:
    """Every website by its main name, without the cost of model instances: there may be thousands."""
    rows = (
        Domain.objects.filter(is_main=True)
        .order_by("name")
        .values(
            "name",
            "website_id",
            account=F("website__account__username"),
            enabled=F("website__enabled"),
            seen=F("website__observation__status"),
        )
    )
    return [{**row, "state": _state(enabled=row["enabled"], seen=row["seen"])} for row in rows]


def _requests(rows: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """The requests of the last hour."""
    found = metrics.requests_lately(row["website_id"] for row in rows)
    return {number: sum(counts) for number, counts in found.items()}


def _state(*, enabled: bool, seen: str | None) -> str:
    if not enabled:
        return Status.DISABLED.value
    return seen if seen and seen != Status.DISABLED else Status.STARTING.value


@never_cache
@access.operator_only
@require_safe
def website_list(request: HttpRequest) -> HttpResponseBase:
    """All websites: those of a state, of an account or with a part of a name; by name, state, memory or requests."""
    rows = _websites()
    memory = cache.get_or_set("memory-of-websites", asking.memory, _FIGURES_SECONDS) or {}
    requests = cache.get_or_set("requests-of-websites", lambda: _requests(rows), _FIGURES_SECONDS) or {}
    states = Counter(row["state"] for row in rows)
    state, text, order = (request.GET.get(name, "") for name in ("state", "q", "order"))
    for row in rows:
        row["memory_bytes"], row["requests"] = memory.get(row["website_id"], 0), requests.get(row["website_id"], 0)
        row["requests_told"] = f"{row['requests']:,}"
    if state:
        rows = [row for row in rows if row["state"] == state]
    if words := text.strip().lower():
        rows = [row for row in rows if words in row["name"] or words == row["account"]]
    if order in ("memory_bytes", "requests"):
        rows.sort(key=lambda row: -row[order])
    elif order == "state":
        rows.sort(key=lambda row: list(Status).index(Status(row["state"])))
    context = {
        "tabs": tabs(request), "page": paged(request, rows), "state": state, "q": text,
        "order": order, "orders": _ORDERS,
        "all_states": [(each.value, states[each.value]) for each in Status if states[each.value]],
        "query": query(request),
    }  # fmt: skip
    return render(request, "dashboard/operator/websites.html", context)


@never_cache
@access.operator_only
@require_safe
def certificate_page(request: HttpRequest) -> HttpResponseBase:
    """Every certificate, those for which somebody has to do something first."""
    files, now = asking.certificate_files(), time.time()
    listed = certificate_list.listed(files or [], now)
    page = paged(request, listed)
    shown = [
        {
            "listed": each,
            "days_left": each.days_left(now),
            "until": None if each.not_after is None else datetime.fromtimestamp(each.not_after, UTC),
        }
        for each in page
    ]
    context = {
        "tabs": tabs(request), "page": page, "shown": shown, "query": query(request), "files_known": files is not None,
        "warnings": sum(each.warning is not None for each in listed),
    }  # fmt: skip
    return render(request, "dashboard/operator/certificates.html", context)


@never_cache
@access.operator_only
@require_safe
def audit_log(request: HttpRequest) -> HttpResponseBase:
    """Who did what to what, the latest first; of one actor, of one target, of one kind."""
    chosen = {name: request.GET.get(name, "").strip() for name in ("actor", "target", "action")}
    found = audit.entries(**chosen)
    before = request.GET.get("before", "")
    if before.isascii() and before.isdecimal() and len(before) < 19:
        found = found.filter(pk__lt=int(before))
    entries: list[AuditEntry] = list(found[: _ON_A_PAGE + 1])
    kinds = sorted({action.value.partition(".")[0] for action in Action})
    context = {
        "tabs": tabs(request), "entries": entries[:_ON_A_PAGE], "chosen": chosen, "kinds": kinds, "before": before,
        "older": entries[_ON_A_PAGE - 1].pk if len(entries) > _ON_A_PAGE else None, "query": query(request, "before"),
        "kept_days": audit.KEPT_DAYS,
    }  # fmt: skip
    return render(request, "dashboard/operator/audit.html", context)


def paged(request: HttpRequest, rows: Sequence[Any] | QuerySet[Any, Any]) -> Page[Any]:
    """The part of the rows that ``page`` asks for; the first or last for a number that there is not."""
    return Paginator(rows, _ON_A_PAGE).get_page(request.GET.get("page"))


def query(request: HttpRequest, leave: str = "page") -> str:
    """What the address asks for but for one part, so that another can be put behind it."""
    kept: QueryDict = request.GET.copy()
    kept.pop(leave, None)
    return f"?{kept.urlencode()}&" if kept else "?"
