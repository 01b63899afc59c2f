"""What the owner of a website that runs well still has to know: of its domains' DNS and certificates."""

from __future__ import annotations

from django.conf import settings

from hereabouts.control.models import Certificate, Domain, Website
from hereabouts.core.domains import is_custom


def notice(website: Website, now: float) -> str | None:
    """What is wrong with its domains, a line for each; None when all is well. ``now`` is in seconds since the epoch."""
    found = [text for domain in website.domains.all() for text in _of_domain(domain, now)]
    return "\n".join(found) or None


def _of_domain(domain: Domain, now: float) -> list[str]:
    row: Certificate | None = getattr(domain, "certificate", None)
    dns = domain.dns_detail if is_custom(domain.name, settings.CONFIG.domain) else None
    found = [dns] if dns else []
    if row is not None and not (dns and row.problem == dns):  # else that is why there is no certificate
        warning = row.value().warning(now)
        found += [warning] if warning else []
    return found
