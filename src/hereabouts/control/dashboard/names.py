"""Domains and HTTPS of one website: its names, their DNS, their certificates, and how visitors come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from hereabouts.config import Config
from hereabouts.control import asking, certificates, claims, domains, services
from hereabouts.control.dashboard import one
from hereabouts.control.dashboard.websites import Word, certificate
from hereabouts.control.models import Certificate, Domain, Website
from hereabouts.core.certificate import Kind
from hereabouts.core.domains import cname, is_custom
from hereabouts.core.webapp import MAX_HSTS_SECONDS
from hereabouts.errors import (
    DomainTaken,
    HereaboutsError,
    InvalidInput,
    MainDomain,
    NoCertificate,
    OrderFailed,
)

_HSTS = (
    (0, "Not told"),
    (86_400, "One day"),
    (2_592_000, "30 days"),
    (31_536_000, "One year"),
    (63_072_000, "Two years"),
)


@dataclass(frozen=True, slots=True)
class Name:
    """One of the website's domains, as the page shows it. ``points_to`` is what its CNAME record must hold."""

    domain: Domain
    number: int
    address: str
    points_to: str
    checked: datetime | None
    certificate: Word
    row: Certificate | None
    names: str
    ends: datetime | None
    renews: datetime | None
    acme: bool


@one.tab("Domains and HTTPS", "domains", 30)
@sensitive_post_parameters("cert", "private_key")
@require_http_methods(["GET", "HEAD", "POST"])
def names(request: HttpRequest, website: Website) -> HttpResponse:
    """The page; each of its forms says by ``do`` what is to be done, most of them with which ``domain``."""
    if request.method != "POST":
        return _page(request, website)
    act = _ACTS.get(request.POST.get("do", ""))
    if act is None:
        problem = {"form": "That form is not known here. Load the page again."}
        return _page(request, website, {"problems": problem}, code=422)
    try:
        said = act(request, website)
    except (InvalidInput, DomainTaken, MainDomain, NoCertificate, OrderFailed) as error:
        return _refused(request, services.latest(website), error)
    return one.go(request, one.url(services.latest(website), "website_domains"), said)


def _refused(request: HttpRequest, website: Website, error: HereaboutsError) -> HttpResponse:
    """The page again, with what was wrong at the form that it came from, and what was typed there."""
    given = {name: request.POST.get(name, "") for name in ("domain_name", "redirect", "cert")}
    if "PRIVATE KEY" in given["cert"]:  # pasted into the wrong field, or with the chain
        given["cert"] = ""
    problems = {"domain_name": str(error)} if isinstance(error, DomainTaken) else one.problems(error)
    context = {
        "problems": problems,
        "at": request.POST.get("domain", "") or request.POST.get("do", ""),
        "proof": error.details.get("proof"),
        "given": given,
    }
    return _page(request, website, context, code=422)


def _page(
    request: HttpRequest, website: Website, context: dict[str, Any] | None = None, *, code: int = 200
) -> HttpResponse:
    now = time.time()
    known = {
        "names": [_name(website, domain, number, now) for number, domain in enumerate(website.domains.all())],
        "hsts": _HSTS if website.hsts_seconds in dict(_HSTS) else (*_HSTS, (website.hsts_seconds, "As set by the API")),
    }
    return one.page(request, website, "dashboard/domains.html", {**known, **(context or {})}, code=code)


def _name(website: Website, domain: Domain, number: int, now: float) -> Name:
    config: Config = settings.CONFIG
    row: Certificate | None = getattr(domain, "certificate", None)
    acme = row is not None and row.kind == Kind.ACME.value
    renews = ((row.next_try_at if row.problem else row.renew_at) or row.next_try_at) if row and acme else 0.0
    return Name(
        domain=domain,
        number=number,
        address=config.site_url(domain.name),
        points_to=cname(website.pk, config.domain) if is_custom(domain.name, config.domain) else "",
        checked=one.moment(domain.dns_checked_at),
        certificate=certificate(domain, now),
        row=row,
        names=", ".join(row.names) if row else "",
        ends=one.moment(row.not_after) if row else None,
        renews=one.moment(renews),
        acme=acme,
    )


def _find(request: HttpRequest, website: Website) -> Domain:
    """The domain that the form is about. Raises NoSuchDomain."""
    return domains.find(website.account, request.POST.get("domain", ""), website)


def _add(request: HttpRequest, website: Website) -> str:
    text, redirects = request.POST.get("domain_name", ""), request.POST.get("redirect") == "yes"
    added = claims.take(
        website.account, text, lambda former: domains.add(website, text, redirects=redirects, former=former)
    )
    asking.settle(website.pk, website.generation)
    if is_custom(added.name, settings.CONFIG.domain):
        asking.look(added.name)
    return f"{added.name} is added."


def _remove(request: HttpRequest, website: Website) -> str:
    domain = _find(request, website)
    domains.remove(domain)
    asking.settle(website.pk, website.generation)
    return f"{domain.name} is removed."


def _redirect(request: HttpRequest, website: Website) -> str:
    domain, wanted = _find(request, website), request.POST.get("redirect") == "yes"
    domains.change(domain, redirects=wanted)
    asking.settle(website.pk, website.generation)
    return f"{domain.name} {'redirects to the main domain' if wanted else 'serves the website'} now."


def _main(request: HttpRequest, website: Website) -> str:
    domain = _find(request, website)
    domains.make_main(domain)
    asking.settle(website.pk, website.generation)
    return f"{domain.name} is the main domain now."


def _check(request: HttpRequest, website: Website) -> str:
    domain = _find(request, website)
    asking.look(domain.name)
    domain = _find(request, website)
    return domain.dns_detail or f"{domain.name} leads here."


def _order(request: HttpRequest, website: Website) -> str:
    domain = _find(request, website)
    certificates.order(domain)
    return f"Visitors of {domain.name} see its certificate, which is renewed by itself."


def _upload(request: HttpRequest, website: Website) -> str:
    domain = _find(request, website)
    certificates.upload(domain, request.POST.get("cert", ""), request.POST.get("private_key", ""))
    return f"Visitors of {domain.name} see your certificate."


def _delete(request: HttpRequest, website: Website) -> str:
    domain = _find(request, website)
    certificates.remove(domain)
    return f"The certificate of {domain.name} is deleted."


def _https(request: HttpRequest, website: Website) -> str:
    text = request.POST.get("hsts_seconds", "0")
    if not text.isdecimal() or len(text) > 9:
        raise InvalidInput("hsts_seconds", f"Give a number of seconds from 0 to {MAX_HSTS_SECONDS}.")
    wanted = {"force_https": "force_https" in request.POST, "hsts_seconds": int(text)}
    asking.settle(website.pk, services.change_website(website, wanted))
    return "Visitors are sent to HTTPS." if wanted["force_https"] else "Visitors come over HTTP or HTTPS, as they like."


_ACTS: dict[str, Callable[[HttpRequest, Website], str]] = {
    "add": _add, "remove": _remove, "redirect": _redirect, "main": _main, "check": _check, "order": _order,
    "upload": _upload, "delete_certificate": _delete, "https": _https,
}  # fmt: skip
