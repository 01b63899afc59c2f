"""How a website stands, told: into the database, and to whoever waits for a change of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from hereabouts.core import lifecycle
from hereabouts.core.lifecycle import Limits, Seen
from hereabouts.core.webapp import Observation, Website
from hereabouts.supervisor import evidence
from hereabouts.supervisor.records import Records


class Telling:
    """What has been told of one website. ``past`` is what an earlier supervisor recorded."""

    def __init__(self, website_id: int, records: Records, limits: Limits, past: Observation | None) -> None:
        self._website_id, self._records, self._limits = website_id, records, limits
        self._last = past
        """What was recorded last, or is on its way into the database."""
        self._noted = self.told = Seen()
        """What was seen when that was noted; and when it was last in the database, which whoever waits reads next."""
        self._writing = False
        self._changed = asyncio.Condition()
        self.waiting = 0
        """How many wait for a change."""

    @property
    def begun(self) -> bool:
        """Whether anything was ever told."""
        return self._last is not None

    async def tell(self, wanted: Website | None, seen: Seen) -> None:
        """Have a change of state recorded, which is not waited for, and let those who wait look again."""
        self._noted = seen
        if wanted is not None:
            latest = evidence.with_loop(seen, lifecycle.observation(wanted, seen, time.time(), self._limits))
            if self._last is not None and latest.status is self._last.status:
                latest = replace(latest, since=self._last.since)
            if latest != self._last:
                self._last, self._writing = latest, True
                self._records.put(self._website_id, latest, self._recorded)
        if wanted is None or not self._writing:
            self.told = self._noted
        await self._let_look()

    async def wait_for(self, answered: Callable[[], bool], seconds: float) -> bool:
        """Wait until it is so; False when the time is up."""
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(answered)
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1
        return True

    async def _recorded(self) -> None:
        """What was seen last is in the database."""
        self._writing, self.told = False, self._noted
        await self._let_look()

    async def _let_look(self) -> None:
        async with self._changed:
            self._changed.notify_all()
