"""Tries that may be guesses: counted before they are made, and slowed down by growing pauses.

A try counts from its beginning on, so that many at once can't slip through together; success takes it back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

from django.db import transaction
from django.db.models import F

from hereabouts.control.models import Tries
from hereabouts.core.pauses import Limit
from hereabouts.errors import TooManyTries

_KEPT_SECONDS = 86_400.0


def claim(limits: Mapping[str, Limit]) -> None:
    """Count a try under each key, before it is made. Raises TooManyTries; then it does not count, nor may be made."""
    with transaction.atomic():
        Tries.objects.filter(last_at__lt=time.time() - _KEPT_SECONDS).delete()
        Tries.objects.bulk_create([Tries(key=key, last_at=time.time()) for key in limits], ignore_conflicts=True)
        found = {row.key: row for row in Tries.objects.select_for_update().filter(key__in=limits).order_by("key")}
        now = time.time()  # not before it is this one's turn: those before would seem to lie ahead, and not to count
        waits = [limits[key].wait(row.count, row.last_at, now) for key, row in found.items() if row.count]
        if longest := max(waits, default=0.0):
            raise TooManyTries(wait=_words(math.ceil(longest)), seconds=math.ceil(longest))
        for key, row in found.items():
            count = limits[key].standing(row.count, row.last_at, now) + 1
            Tries.objects.filter(pk=row.pk).update(count=count, last_at=now)


def take_back(key: str) -> None:
    """One try under this key was none of those that count."""
    Tries.objects.filter(key=key, count__gt=0).update(count=F("count") - 1)


def forget(key: str) -> None:
    """Begin anew under this key."""
    Tries.objects.filter(key=key).delete()


def of_address(address: str) -> str:
    """What visitors from the same place have in common: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))


def _words(seconds: int) -> str:
    if seconds < 120:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    return f"{math.ceil(seconds / 60)} minutes"
