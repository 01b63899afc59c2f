"""``hereabouts certificates``: every certificate, until when it is good, and how its renewal stands."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hereabouts.cli import support

if TYPE_CHECKING:
    from hereabouts.config import Config
    from hereabouts.core.certificate import Certificate, Details

_DAY = 86_400.0
_WILDCARD_ENDS_SOON = 15 * _DAY
_LOCAL_ENDS_SOON = 7 * _DAY
"""They are renewed a month before their end, so that one that came so near was forgotten."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate as it is listed. Times are in seconds since the epoch, None where there is none.

    ``kind`` is letsencrypt, uploaded, wildcard or local; ``renewal`` says how it will be, or was not, renewed;
    ``warning`` is what somebody has to do something about.
    """

    name: str
    kind: str
    issuer: str
    not_after: float | None
    renewal: str
    warning: str | None

    def days_left(self, now: float) -> int | None:
        """Whole days; negative once it has ended."""
        return None if self.not_after is None else int((self.not_after - now) // _DAY)


def certificates(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every certificate: where it comes from, how long it is good, and how its renewal stands."""
    support.need_root("certificates")
    settings = support.settings()
    support.database(settings)
    now = time.time()
    found = gather(settings, now)
    if as_json:
        support.print_json([{**asdict(each), "days_left": each.days_left(now)} for each in found])
        return
    support.table(
        ["name", "kind", "issuer", "days left", "renewal"],
        [
            [
                each.name, each.kind, each.issuer, _days(each, now), " ".join(each.renewal.split()),
            ]
            for each in found
        ],
        wrap=("renewal",),
    )  # fmt: skip


def _days(each: Shown, now: float) -> Any:
    left = each.days_left(now)
    return support.coloured("–" if left is None else str(left), "bold red" if each.warning else "")


def gather(config: Config, now: float) -> list[Shown]:
    """Every certificate, those for which somebody has to do something first. Needs root and the database."""
    from hereabouts.control.store import DjangoStore
    from hereabouts.core.pem import covers

    found = [_of_name(each, now) for each in DjangoStore().certificates()] + _wildcard(config, now)
    used = [each.name for each in found if each.not_after is not None]
    found += [each for each in _local(config, now) if not covers(used, each.name)]  # visitors see those instead
    return sorted(found, key=lambda each: (each.warning is None, each.kind == "local", each.name))


def _of_name(certificate: Certificate, now: float) -> Shown:
    """One that a website's owner, or the platform for itself, ordered or uploaded."""
    from hereabouts.core.certificate import Kind

    held, problem = certificate.details, certificate.problem
    if certificate.kind is Kind.UPLOADED:
        renewal = "its owner uploads a new one"
    elif problem:
        renewal = f"failed {_times(certificate.failures)}, next try {_moment(certificate.next_try_at, now)}: {problem}"
    elif held is None:
        renewal = "is being ordered"
    else:
        renewal = f"due {_moment(certificate.renew_at, now)}"
    return Shown(
        name=certificate.name,
        kind="uploaded" if certificate.kind is Kind.UPLOADED else "letsencrypt",
        issuer=held.issuer if held else "–",
        not_after=held.not_after if held else None,
        renewal=renewal,
        warning=certificate.warning(now),
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _moment(moment: float, now: float) -> str:
    return "now" if moment <= now else support.moment(moment)


def _wildcard(config: Config, now: float) -> list[Shown]:
    """The operator's own, as the supervisor took it over."""
    from hereabouts.core.certificate import file_name

    if not config.wildcard_certificate:
        return []
    name = f"*.{config.domain}"
    held = _read(config.certificates / "own" / file_name(f"_.{config.domain}"))
    place = f"Put a new one into {config.wildcard_certificate}."
    if held is None:
        unused = f"The certificate for {name} is not in use: see the supervisor's log. {place}"
        return [Shown(name, "wildcard", "–", None, "not in use", unused)]
    ends = held.not_after - now < _WILDCARD_ENDS_SOON
    warning = f"The certificate for {name} {_end(held, now)}. {place}" if ends else None
    return [Shown(name, "wildcard", held.issuer, held.not_after, "the operator puts a new one into its file", warning)]


def _local(config: Config, now: float) -> list[Shown]:
    """Those that the local authority signed."""
    from hereabouts.certificates import local

    found = []
    for path in sorted(local.certificate_file(config, "name").parent.glob("*.pem")):
        held = _read(path)
        if held is None:
            continue  # gone meanwhile, or damaged: the next start of its website makes another
        ends = held.not_after - now < _LOCAL_ENDS_SOON
        warning = f"The certificate of {held.subject} {_end(held, now)}. Restart the platform." if ends else None
        name = held.subject or path.stem
        found.append(Shown(name, "local", held.issuer, held.not_after, "by the local authority", warning))
    return found


def _end(held: Details, now: float) -> str:
    left = held.not_after - now
    return f"ends in {left / _DAY:.0f} days" if left > 0 else "has ended"


def _read(path: Path) -> Details | None:
    """What the certificate in a file says; None for no file, or none that can be read."""
    from cryptography import x509

    from hereabouts.core import pem

    try:
        return pem.details(x509.load_pem_x509_certificate(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        return None
