"""Turns: those who waited go on one after the other, whoever has waited longest first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count


class Turns:
    """One turn at a time, given to whoever came first.

    Unlike with an ``asyncio.Lock``, the order holds when all ask again at once, as they do of a new supervisor.
    """

    def __init__(self) -> None:
        self._taken = False
        self._queue: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = count()

    @asynccontextmanager
    async def take(self, since: float) -> AsyncIterator[None]:
        """Wait for a turn; it ends with the block. ``since`` is when the visitor came, on any one clock."""
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (since, next(self._number), turn))
        # Not at once: others who were woken with this one, and came before it, ask in the same turn of the loop.
        asyncio.get_running_loop().call_soon(self._give)
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._taken = False
                self._give()

    def _give(self) -> None:
        while self._queue and not self._taken:
            turn = heapq.heappop(self._queue)[2]
            if not turn.done():
                turn.set_result(None)
                self._taken = True
