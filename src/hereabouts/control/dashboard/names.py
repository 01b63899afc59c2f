"""Domains and HTTPS of one website: its names, their DNS, their certificates, and how visitors come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from hereabouts.config import Config
from hereabouts.control import asking, certificates, claims, domains, services
from hereabouts.control.dashboard import fields, live, one
from hereabouts.control.dashboard.websites import Word, certificate
from hereabouts.control.models import Certificate, Domain, Website
from hereabouts.control.states import UNATTENDED
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

_LOOK_SECONDS = 3.0
"""How often the page looks at DNS that is wrong and at an order that goes on."""
_PARTS = {
    "dns": "dashboard/_dns.html", "looked": "dashboard/_looked.html", "certificate": "dashboard/_certificate.html",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Name:
    """One of the website's domains, as the page shows it. ``points_to`` is what its CNAME record must hold."""

    domain: Domain
    address: str
    points_to: str
    checked: datetime | None
    certificate: Word
    row: Certificate | None
    names: str
    ends: datetime | None
    renews: datetime | None
    acme: bool

    @property
    def every(self) -> float | None:
        """In how many seconds the page looks again; None once nothing is to be expected."""
        led = not self.points_to or (self.checked is not None and not self.domain.dns_detail)
        ordered = self.row is None or bool(self.row.fingerprint)
        return None if led and ordered else _LOOK_SECONDS


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
    return one.go(request, one.url(services.latest(website), "website_domains"), said.text, warning=said.tone == "warn")


@one.action("dns")
@require_safe
def dns(request: HttpRequest, website: Website) -> HttpResponse:
    """What is known of one name's DNS and certificate: parts of the page, which asks again until all is well."""
    for name in _names(website):
        if name.domain.name == request.GET.get("name"):
            return live.answer(request, *_parts(website, name))
    raise Http404


def _parts(website: Website, name: Name) -> tuple[live.Place, dict[str, Any], float | None]:
    address = f"{one.url(website, 'website_dns')}?{urlencode({'name': name.domain.name})}"
    return live.Place(f"name-{name.domain.pk}", address, _PARTS), {"name": name}, name.every


def _refused(request: HttpRequest, website: Website, error: HereaboutsError) -> HttpResponse:
    """The page again, with what was wrong at the form that it came from, and what was typed there."""
    problems = {"domain_name": str(error)} if isinstance(error, DomainTaken) else one.problems(error)
    context = {
        "problems": problems,
        "at": request.POST.get("domain", "") or request.POST.get("do", ""),
        "proof": error.details.get("proof"),
        "given": {**fields.stored(website), **_given(request)},
    }
    return _page(request, website, context, code=422)


def _given(request: HttpRequest) -> dict[str, Any]:
    """What was typed and is to be shown again, which a private key is not."""
    if request.POST.get("do") == "https":
        return fields.sent(request.POST)
    given = {name: request.POST.get(name, "") for name in ("domain_name", "redirect", "cert")}
    if "PRIVATE KEY" in given["cert"]:  # pasted into the wrong field, or with the chain
        given["cert"] = ""
    return given


def _page(
    request: HttpRequest, website: Website, context: dict[str, Any] | None = None, *, code: int = 200
) -> HttpResponse:
    known = {
        "names": [(name, live.show(request, *_parts(website, name))) for name in _names(website)],
        "given": fields.stored(website),
    }
    return one.page(request, website, "dashboard/domains.html", {**known, **(context or {})}, code=code)


def _names(website: Website) -> list[Name]:
    now = time.time()
    return [_name(website, domain, now) for domain in website.domains.all()]


def _name(website: Website, domain: Domain, now: float) -> Name:
    config: Config = settings.CONFIG
    row: Certificate | None = getattr(domain, "certificate", None)
    acme = row is not None and row.kind == Kind.ACME.value
    renews = ((row.next_try_at if row.problem else row.renew_at) or row.next_try_at) if row and acme else 0.0
    return Name(
        domain=domain,
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


def _add(request: HttpRequest, website: Website) -> Word:
    text, redirects = request.POST.get("domain_name", ""), request.POST.get("redirect") == "yes"
    added = claims.take(
        website.account, text, lambda former: domains.add(website, text, redirects=redirects, former=former)
    )
    said = _in_force(website, website.generation, f"{added.name} is added.")
    if is_custom(added.name, settings.CONFIG.domain):
        asking.look(added.name)
    return said


def _remove(request: HttpRequest, website: Website) -> Word:
    domain = _find(request, website)
    domains.remove(domain)
    return _in_force(website, website.generation, f"{domain.name} is removed.")


def _redirect(request: HttpRequest, website: Website) -> Word:
    domain, wanted = _find(request, website), request.POST.get("redirect") == "yes"
    domains.change(domain, redirects=wanted)
    now = "redirects to the main domain" if wanted else "serves the website"
    return _in_force(website, website.generation, f"{domain.name} {now} now.")


def _main(request: HttpRequest, website: Website) -> Word:
    domain = _find(request, website)
    domains.make_main(domain)
    return _in_force(website, website.generation, f"{domain.name} is the main domain now.")


def _check(request: HttpRequest, website: Website) -> Word:
    before = _find(request, website)
    asking.look(before.name)
    domain = _find(request, website)
    if is_custom(domain.name, settings.CONFIG.domain) and domain.dns_checked_at == before.dns_checked_at:
        return Word(
            f"{domain.name} could not be looked up now: the certificates process, which does that, gave no answer. It "
            "will be looked up by itself. If that takes more than a minute, tell the operator, who finds the cause "
            "with hereabouts status.",
            "warn",
        )
    return Word(domain.dns_detail, "warn") if domain.dns_detail else Word(f"{domain.name} leads here.")


def _order(request: HttpRequest, website: Website) -> Word:
    domain = _find(request, website)
    certificates.order(domain)
    return Word(f"Visitors of {domain.name} see its certificate, which is renewed by itself.")


def _upload(request: HttpRequest, website: Website) -> Word:
    domain = _find(request, website)
    certificates.upload(domain, request.POST.get("cert", ""), request.POST.get("private_key", ""))
    return Word(f"Visitors of {domain.name} see your certificate.")


def _delete(request: HttpRequest, website: Website) -> Word:
    domain = _find(request, website)
    certificates.remove(domain)
    return Word(f"The certificate of {domain.name} is deleted.")


def _https(request: HttpRequest, website: Website) -> Word:
    wanted, problems = fields.read(request.POST, fields.HTTPS)
    if problems:
        raise InvalidInput("hsts_seconds", f"Give a number of seconds from 0 to {MAX_HSTS_SECONDS}.")
    said = "Visitors are sent to HTTPS." if wanted["force_https"] else "Visitors come over HTTP or HTTPS, as they like."
    return _in_force(website, services.change_website(website, wanted), said)


def _in_force(website: Website, generation: int, said: str) -> Word:
    """What is said of a change once visitors meet with it; or that they will, while the supervisor is away."""
    return Word(said) if asking.settle(website.pk, generation) is not None else Word(UNATTENDED, "warn")


_ACTS: dict[str, Callable[[HttpRequest, Website], Word]] = {
    "add": _add, "remove": _remove, "redirect": _redirect, "main": _main, "check": _check, "order": _order,
    "upload": _upload, "delete_certificate": _delete, "https": _https,
}  # fmt: skip
