"""Every certificate as the operator sees it, those for which somebody has to do something first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from hereabouts.control.models import Certificate as CertificateRow
from hereabouts.core import pem
from hereabouts.core.certificate import Certificate, Kind, Listed


def listed(files: Iterable[Listed], now: float) -> list[Listed]:
    """Those that a website's owner or the platform ordered or uploaded, and those that are ``files`` alone."""
    found = [_of_name(row.value(), now) for row in CertificateRow.objects.all()]
    files = list(files)
    found += [each for each in files if each.kind != "local"]
    shown = {each.name for each in found if each.not_after is not None}
    wild = [name for name in shown if name.startswith("*.")]
    found += [  # what visitors see is another one, where there is one
        each for each in files if each.kind == "local" and each.name not in shown and not pem.covers(wild, each.name)
    ]
    return sorted(found, key=lambda each: (each.warning is None, each.kind == "local", each.name))


def _of_name(certificate: Certificate, now: float) -> Listed:
    held, problem, warning = certificate.details, certificate.problem, certificate.warning(now)
    if certificate.kind is Kind.UPLOADED:
        renewal = "its owner uploads a new one"
    elif problem:
        renewal = f"failed {_times(certificate.failures)}, next try {_moment(certificate.next_try_at, now)}"
        renewal += "" if warning else f": {problem}"  # which a warning names
    elif held is None:
        renewal = "is being ordered"
    else:
        renewal = f"due {_moment(certificate.renew_at, now)}"
    return Listed(
        name=certificate.name,
        kind="uploaded" if certificate.kind is Kind.UPLOADED else "letsencrypt",
        issuer=held.issuer if held else "–",
        not_after=held.not_after if held else None,
        renewal=renewal,
        warning=warning,
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _moment(moment: float, now: float) -> str:
    return "now" if moment <= now else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
