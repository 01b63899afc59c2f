"""The list of one's websites."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hereabouts.control import metrics, services
from hereabouts.control.dashboard import access, charts
from hereabouts.control.models import Certificate, Domain, Website
from hereabouts.control.states import State, state
from hereabouts.core.domains import is_custom

_A_PAGE = 100
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True, slots=True)
class Word:
    """A few words on how something is, and how good that is: good, warn, bad or nothing."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A website in the list."""

    website: Website
    domain: str
    address: str
    others: int
    state: State
    certificate: Word
    requests: str
    lately: charts.Sparkline | None


@access.signed_in
@never_cache
@require_safe
def websites(request: HttpRequest) -> HttpResponse:
    """One's websites by name, a hundred a page; ``q`` is a part of the names sought."""
    sought = request.GET.get("q", "").strip().lower()[:253]
    account = access.account(request)
    pages = Paginator(services.websites_by_name(account, sought), _A_PAGE)
    page = pages.get_page(request.GET.get("page"))
    now = time.time()
    shown = [website for website in page.object_list if website.domains.all()]
    lately = metrics.requests_lately((website.pk for website in shown), now)
    context = {
        "lines": [_line(website, now, lately.get(website.pk, [])) for website in shown],
        "page": page,
        "sought": sought,
        "count": pages.count,
        "any": bool(pages.count) or bool(sought),
    }
    return render(request, "dashboard/websites.html", context)


def _line(website: Website, now: float, lately: list[int]) -> Line:
    names = list(website.domains.all())
    main = names[0]
    address = settings.CONFIG.site_url(main.name)
    label = f"{sum(lately):,} requests in the last hour"
    spark = charts.sparkline(lately[:-1], label) if lately else None  # the last five minutes are not over
    others = len(names) - 1
    return Line(website, main.name, address, others, state(website), certificate(main, now), f"{sum(lately):,}", spark)


def certificate(domain: Domain, now: float) -> Word:
    """How the certificate that a domain's visitors are shown stands; ``now`` in seconds since the epoch."""
    row: Certificate | None = getattr(domain, "certificate", None)
    custom = is_custom(domain.name, settings.CONFIG.domain)
    if row is None:
        return Word("None yet", "warn") if custom else Word("The platform's")
    if not row.fingerprint:
        return Word("Order failed", "bad") if row.problem else Word("Being ordered", "warn")
    warning = row.value().warning(now)
    until = f"until {_day(row.not_after)}"
    return Word(f"Ends {_day(row.not_after)}", "warn") if warning else Word(f"Valid {until}", "good")


def _day(seconds: float) -> str:
    day = datetime.fromtimestamp(seconds, UTC)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
