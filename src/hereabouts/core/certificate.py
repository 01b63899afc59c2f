"""Certificates as values: where each comes from, what it holds, how its renewal stands.

Times are in seconds since the epoch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

_MAX_FILE_NAME = 200
_ENDS_SOON_SECONDS = 15 * 86_400


class Kind(StrEnum):
    """Where a certificate comes from."""

    ACME = "letsencrypt-auto-renew"
    UPLOADED = "user-provided"


class Fault(StrEnum):
    """Whose it is to mend that an order failed: the owner's DNS, the authority's, the platform's, or only time's."""

    DNS = "dns"
    AUTHORITY = "authority"
    LIMIT = "limit"
    UNREACHABLE = "unreachable"
    PLATFORM = "platform"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Details:
    """What a certificate says. ``fingerprint`` is the SHA-256 of its DER form, in hex."""

    issuer: str
    subject: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that is wanted for one name, and how far it has come.

    ``details`` are those of the one in use, None before there is one. ``renew_at`` is when to see to its renewal,
    ``asked_at`` when the authority was last asked for that time (RFC 9773). ``failures`` counts orders gone wrong in
    a row, the last of them for ``problem``; the next is due at ``next_try_at``.
    """

    name: str
    kind: Kind
    details: Details | None = None
    renew_at: float = 0.0
    asked_at: float = 0.0
    failures: int = 0
    next_try_at: float = 0.0
    problem: str | None = None

    def warning(self, now: float) -> str | None:
        """What its owner has to know: why there is none yet, or that it ends before long. None: all is well.

        Before long is when a quarter of its life is left, unless the authority wants it renewed later still; half a
        month for uploaded ones.
        """
        held = self.details
        if held is None:
            return f"There is no certificate for {self.name} yet: {self.problem}" if self.problem else None
        left, quarter = held.not_after - now, (held.not_after - held.not_before) / 4
        if left > (ends_soon(held) if self.kind is Kind.UPLOADED else quarter):
            return None
        if self.kind is Kind.ACME and now < self.renew_at and left > 0 and not self.problem:
            return None
        when = f"ends in {span(left)}" if left > 0 else "has ended"
        if self.kind is Kind.UPLOADED:
            return f"The certificate of {self.name} {when}. Upload a new one."
        why = f": {self.problem}" if self.problem else "."
        return f"The certificate of {self.name} {when} and could not be renewed yet{why}"


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the DNS said of a custom domain: ``detail`` tells in one sentence what is wrong, None when it leads here."""

    name: str
    detail: str | None
    checked_at: float


@dataclass(frozen=True, slots=True)
class Listed:
    """A certificate as the operator sees it in a list. None for a time that there is not.

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
        return None if self.not_after is None else int((self.not_after - now) // 86_400)


def ends_soon(held: Details) -> float:
    """With how many seconds left a person has to put a new one in its place: 15 days, or a quarter of a short life."""
    return min(_ENDS_SOON_SECONDS, (held.not_after - held.not_before) / 4)


def file_name(name: str) -> str:
    """What a certificate's file is called: ``{name}.pem``; the MD5 stands for a name too long for a file's.

    nginx's Lua makes the same of it (ingress/certificate.lua).
    """
    if len(name) > _MAX_FILE_NAME:
        name = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{name}.pem"


def lock_name(name: str) -> str:
    """The file whose lock whoever changes what is shown for a name must hold: one of a fixed number."""
    return str(crc32(name.encode()) % 64)


def span(seconds: float) -> str:
    """A time in days, or in hours where it is less than two days."""
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.0f} days"
    hours = max(1, int(seconds // 3600))
    return "1 hour" if hours == 1 else f"{hours} hours"
