"""The order in which websites start: a few at a time, the most wanted first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class _Waiter:
    key: int
    urgency: float
    turn: asyncio.Future[None]


class StartQueue:
    """Lets ``places`` starts go on at once; among those that wait, the highest urgency is next."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiters: list[_Waiter] = []

    @asynccontextmanager
    async def turn(self, key: int, urgency: float) -> AsyncIterator[None]:
        """Wait for a place, and give it back at the end. ``key`` is what ``hurry`` names."""
        if self._free and not self._waiters:
            self._free -= 1
        else:
            await self._wait(_Waiter(key, urgency, asyncio.get_running_loop().create_future()))
        try:
            yield
        finally:
            self._free += 1
            self._admit()

    def hurry(self, key: int) -> None:
        """Somebody waits for this one: it is next."""
        for waiter in self._waiters:
            if waiter.key == key:
                waiter.urgency = float("inf")

    async def _wait(self, waiter: _Waiter) -> None:
        self._waiters.append(waiter)
        self._admit()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            else:  # its turn came in the same moment
                self._free += 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._free and self._waiters:
            first = max(self._waiters, key=lambda waiter: waiter.urgency)
            self._waiters.remove(first)
            self._free -= 1
            first.turn.set_result(None)
