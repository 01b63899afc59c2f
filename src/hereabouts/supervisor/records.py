"""Observations on their way into the database: nobody who keeps a website waits for that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from hereabouts.core.webapp import Observation

_AGAIN_SECONDS = 1.0
"""After a write that failed. Meanwhile others use the database's one thread."""

log = logging.getLogger("hereabouts.supervisor")

Done = Callable[[], Awaitable[None]]


class Records:
    """Writes down how websites are, of each one the latest only, and each one until it is written.

    ``write`` raises whatever the database does. All methods run in the event loop.
    """

    def __init__(self, write: Callable[[int, Observation], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: dict[int, tuple[Observation, Done]] = {}
        self._stirred = asyncio.Event()
        self._fails = False

    def put(self, website_id: int, observation: Observation, done: Done) -> None:
        """Have it written, in the place of one that waits; ``done`` is called then, unless a later one was put."""
        self._waiting[website_id] = observation, done
        self._stirred.set()

    async def run(self) -> None:
        """Write what was put, until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._waiting:
                await self._keep(next(iter(self._waiting)))

    async def _keep(self, website_id: int) -> None:
        entry = self._waiting[website_id]
        observation, done = entry
        try:
            await self._write(website_id, observation)
        except Exception as error:  # the database may be locked, full or gone
            if not self._fails:
                log.error("Could not record how website %d is: %s. Trying until it is written.", website_id, error)
            self._fails = True
            self._waiting[website_id] = self._waiting.pop(website_id)  # behind the others, which may be luckier
            await asyncio.sleep(_AGAIN_SECONDS)
            return
        if self._fails:
            log.info("How websites are is recorded again.")
        self._fails = False
        if self._waiting[website_id] is entry:
            del self._waiting[website_id]
            await done()
