"""The DNS of custom domains, looked up now and then: often while it is wrong, rarely once it leads here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from hereabouts.certificates.dns import Dns, Finding
from hereabouts.core import renewal
from hereabouts.core.certificate import Lookup

_AT_ONCE = 8

log = logging.getLogger("hereabouts.certificates")


class Lookups:
    """Which domain is looked up when. ``record`` keeps what was found; ``right`` hears of one that now leads here."""

    def __init__(self, dns: Dns, record: Callable[[Lookup], Awaitable[None]], right: Callable[[str], None]) -> None:
        self._dns, self._record, self._right = dns, record, right
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._due: dict[str, float] = {}
        self._wrong_since: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def tick(self, domains: Mapping[str, int]) -> None:
        """Begin the lookups that are due; forget the domains that are gone. Times are of the monotonic clock."""
        for name in self._due.keys() - domains.keys():
            self._due.pop(name)
            self._wrong_since.pop(name, None)
        now = time.monotonic()
        for name, website_id in domains.items():
            if self._due.get(name, 0.0) <= now and name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._look(name, website_id))

    async def _look(self, name: str, website_id: int) -> None:
        try:
            async with self._gate:
                await self.look(name, website_id)
        except Exception as error:  # the database may be locked, full or gone
            log.error("Could not record the DNS of %s: %s. Trying again.", name, error)
            self._due[name] = time.monotonic() + renewal.look_again(name, wrong_for=0.0)
        finally:
            self._tasks.pop(name, None)

    async def look(self, name: str, website_id: int) -> Finding:
        """Look one up now, whatever is due, and keep what was found."""
        found = await self._dns.leads_here(name, website_id)
        self.note(name, found)
        await self._record(Lookup(name, found.detail, time.time()))
        return found

    def note(self, name: str, found: Finding) -> None:
        """Set the time of the next look."""
        now = time.monotonic()
        if found.detail is None:
            self._due[name] = now + renewal.look_again(name, wrong_for=None)
            if self._wrong_since.pop(name, None) is not None:
                self._right(name)
        else:
            since = self._wrong_since.setdefault(name, now)
            self._due[name] = now + renewal.look_again(name, wrong_for=now - since)
