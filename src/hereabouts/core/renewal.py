"""When a certificate is renewed, when a try that failed is repeated, when a failure is told to people.

All of it is measured by the certificate's own lifetime, so that it is right for 90 days, for 47, for 6, and for
minutes. Times are in seconds since the epoch, spans in seconds. What looks random is a hash: the same at each look.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hereabouts.core.certificate import Certificate, Details, Kind

_RENEW_AT = 2 / 3
"""Of the lifetime: what Let's Encrypt advises for every length (https://letsencrypt.org/docs/integration-guide/)."""
_SPREAD = 1 / 30
"""Of the lifetime, before that: certificates of the same moment are not renewed at the same moment."""
_LATEST = 0.9
"""Of the lifetime: whatever the authority suggests, a renewal that then fails still has some tries left."""
_SOONEST, _SOONEST_SECONDS = 1 / 20, 6 * 3600.0
"""Of the lifetime, and at most: an authority whose windows have always passed is not asked for one after the other."""
_TELL_AT = 3 / 4

_FIRST_PAUSE = 60.0
_LONGEST_PAUSE = 6 * 3600.0
_LEAST_PAUSE = 1.0
LONGEST_LIMIT = 7 * 86_400.0
"""A limit of the authority is respected for so long at most; Let's Encrypt's longest are a week."""
_FARTHEST_TRY = 8 * 86_400.0
"""What is further ahead was written while the clock was ahead."""

_ASK_EVERY = 6 * 3600.0
_ASK_AT_LEAST = 60.0
_ASK_AT_MOST = 24 * 3600.0

_LOOK_SOON = 10.0
_LOOK_WRONG = 600.0
_LOOK_RIGHT = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Window:
    """When the authority would like a certificate to be renewed (RFC 9773, 4.2)."""

    start: float
    end: float


def lifetime(details: Details) -> float:
    """How long a certificate is good, in seconds; at least one."""
    return max(1.0, details.not_after - details.not_before)


def renew_at(name: str, details: Details, window: Window | None = None) -> float:
    """When to renew: within the authority's window, else at two thirds of the lifetime.

    Never in its last tenth, nor in the hours after its beginning. A window that ends before it begins counts as none
    (RFC 9773, 4.2).
    """
    share, life = fraction(name, details.fingerprint), lifetime(details)
    if window is not None and window.end > window.start:
        soonest = details.not_before + min(_SOONEST * life, _SOONEST_SECONDS)
        chosen = max(soonest, window.start + share * (window.end - window.start))
    else:
        chosen = details.not_before + (_RENEW_AT - _SPREAD * share) * life
    return min(chosen, details.not_before + _LATEST * life)


def pause(name: str, failures: int, details: Details | None) -> float:
    """Seconds before the next try after so many failures in a row: from a minute doubling up to six hours.

    For certificates of days or less both are shorter, so that there are always several tries before the end.
    """
    life = lifetime(details) if details else float("inf")
    first = max(_LEAST_PAUSE, min(_FIRST_PAUSE, life / 1000))
    longest = max(first, min(_LONGEST_PAUSE, life / 20))
    full: float = min(longest, first * 2.0 ** min(max(failures, 1) - 1, 40))
    return max(_LEAST_PAUSE, full * (1 - 0.25 * fraction(name, str(failures))))


def is_good(certificate: Certificate, now: float) -> bool:
    """Whether there is one that visitors' browsers take and whose renewal is not due."""
    details = certificate.details
    return details is not None and now < details.not_after and now < _wanted_at(certificate, details)


def due_at(certificate: Certificate, now: float) -> float | None:
    """When to order it (again), as far as is known ``now``; None for those that are not the authority's."""
    if certificate.kind is not Kind.ACME:
        return None
    wanted = _wanted_at(certificate, certificate.details) if certificate.details else 0.0
    return max(wanted, credible(certificate.next_try_at, now) if certificate.failures else 0.0)


def _wanted_at(certificate: Certificate, details: Details) -> float:
    """When its renewal is due. What is later than it can be was written while the clock was ahead."""
    latest = details.not_before + _LATEST * lifetime(details)
    return certificate.renew_at if certificate.renew_at <= latest else renew_at(certificate.name, details)


def credible(next_try: float, now: float) -> float:
    """The moment of the next try; 0 for one that only a clock that was ahead can have set."""
    return next_try if next_try <= now + _FARTHEST_TRY else 0.0


def must_tell(certificate: Certificate, now: float) -> bool:
    """Whether a renewal fails for so long that the operator must hear: a quarter of the lifetime is left, or less.

    One that never was issued is its owner's to see to, who reads the problem.
    """
    details = certificate.details
    if details is None or not certificate.failures:
        return False
    return now >= details.not_before + _TELL_AT * lifetime(details)


def ask_at(certificate: Certificate, now: float, retry_after: float | None = None) -> float:
    """When to ask the authority for its window again: as long after the last time as it said, else six hours.

    A minute at least, a day at most (RFC 9773, 4.3.2), and several times in the life of a short one. A last time that
    is still to come, since the clock was ahead, counts as none.
    """
    pause = _ASK_EVERY if retry_after is None else min(max(retry_after, _ASK_AT_LEAST), _ASK_AT_MOST)
    if certificate.details:
        pause = min(pause, max(lifetime(certificate.details) / 8, _LEAST_PAUSE))
    asked_at = certificate.asked_at if certificate.asked_at <= now else 0.0
    return asked_at + pause * (1 - 0.1 * fraction(certificate.name, "ask"))


def look_again(name: str, *, wrong_for: float | None) -> float:
    """Seconds before a domain's DNS is looked up again: ``wrong_for`` so many it has not led here, None if it does.

    Soon at first, when its owner is just changing it; rarely when it is right.
    """
    pause = _LOOK_RIGHT if wrong_for is None else min(max(_LOOK_SOON, wrong_for / 10), _LOOK_WRONG)
    return pause * (1 - 0.1 * fraction(name, "look"))


def fraction(*parts: str) -> float:
    """From 0 up to 1, the same for the same texts."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
