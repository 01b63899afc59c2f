"""The order in which websites start: a few at a time, the most wanted first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

URGENT = float("inf")
_GATHER_SECONDS = 0.1
"""Those who come within so short a time, as all do after a boot, go by their urgency and not by who was there first."""


@dataclass(eq=False, slots=True)
class _Waiter:
    key: int
    urgency: float
    turn: asyncio.Future[None]


class Place:
    """A place among those that start now, held until the start is over; given back once."""

    def __init__(self, queue: StartQueue | None) -> None:
        self._queue = queue

    def leave(self) -> None:
        """The start is over, well or not: let the next one start."""
        queue, self._queue = self._queue, None
        if queue:
            queue.admit(1)


class StartQueue:
    """Lets ``places`` starts go on at once; among those that wait, the highest urgency is next."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiters: list[_Waiter] = []

    async def take(self, key: int, urgency: float, *, gather: bool = True) -> Place:
        """Wait for a place; what is urgent waits for none. ``key`` is what ``hurry`` names. Who does not ``gather``
        takes a place that is free at once."""
        if urgency == URGENT:
            return Place(None)
        waiter = _Waiter(key, urgency, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        if gather:
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self.admit, 0)
        else:
            self.admit(0)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.turn.cancelled() and waiter.urgency != URGENT:  # its turn came in the same moment
                self.admit(1)
            raise
        return Place(None if waiter.urgency == URGENT else self)

    def hurry(self, key: int) -> None:
        """Somebody waits for this one: its turn is now."""
        for waiter in [waiter for waiter in self._waiters if waiter.key == key]:
            self._waiters.remove(waiter)
            waiter.urgency = URGENT
            if not waiter.turn.done():
                waiter.turn.set_result(None)

    def admit(self, freed: int) -> None:
        """Give ``freed`` places, and those free already, to the most urgent that wait."""
        self._free += freed
        while self._free and self._waiters:
            first = max(self._waiters, key=lambda waiter: waiter.urgency)
            self._waiters.remove(first)
            if not first.turn.done():  # it may have been cancelled just now
                self._free -= 1
                first.turn.set_result(None)
