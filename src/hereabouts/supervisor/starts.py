"""The order in which websites start: a few at a time, the most wanted first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

URGENT = float("inf")
_LONGEST_SECONDS = 5.0
"""A start that takes longer keeps nobody else waiting."""


@dataclass(eq=False, slots=True)
class _Waiter:
    key: int
    urgency: float
    turn: asyncio.Future[None]


class Place:
    """A place among those that start now; given back once, by whoever is first to do so."""

    def __init__(self, queue: StartQueue | None) -> None:
        self._queue = queue
        if queue:
            asyncio.get_running_loop().call_later(_LONGEST_SECONDS, self.leave)

    def leave(self) -> None:
        """Let the next one start."""
        queue, self._queue = self._queue, None
        if queue:
            queue.admit(1)


class StartQueue:
    """Lets ``places`` starts go on at once; among those that wait, the highest urgency is next."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiters: list[_Waiter] = []

    async def take(self, key: int, urgency: float) -> Place:
        """Wait for a place; what is urgent waits for none. ``key`` is what ``hurry`` names."""
        if urgency == URGENT:
            return Place(None)
        waiter = _Waiter(key, urgency, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self.admit(0)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.urgency != URGENT:  # its turn came in the same moment
                self.admit(1)
            raise
        return Place(None if waiter.urgency == URGENT else self)

    def hurry(self, key: int) -> None:
        """Somebody waits for this one: its turn is now."""
        for waiter in [waiter for waiter in self._waiters if waiter.key == key]:
            self._waiters.remove(waiter)
            waiter.urgency = URGENT
            waiter.turn.set_result(None)

    def admit(self, freed: int) -> None:
        """Give ``freed`` places, and those free already, to the most urgent that wait."""
        self._free += freed
        while self._free and self._waiters:
            first = max(self._waiters, key=lambda waiter: waiter.urgency)
            self._waiters.remove(first)
            self._free -= 1
            first.turn.set_result(None)
