"""The order of starts: a few at a time, the most wanted first, whoever is waited for at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hereabouts.supervisor.starts import URGENT, Place, StartQueue


class Starts:
    """Starts that go on until they are ended here; ``begun`` names them in the order in which they began."""

    def __init__(self, places: int) -> None:
        self.queue = StartQueue(places)
        self.begun: list[int] = []
        self._places: dict[int, Place] = {}
        self._changed = asyncio.Event()

    def come(self, key: int, urgency: float) -> asyncio.Task[None]:
        return asyncio.create_task(self._start(key, urgency))

    async def _start(self, key: int, urgency: float) -> None:
        self._places[key] = await self.queue.take(key, urgency)
        self.begun.append(key)
        self._changed.set()

    def end(self, key: int) -> None:
        self._places[key].leave()

    async def until(self, *begun: int) -> None:
        """Wait until so many have begun; then these are the ones, and no more."""
        while len(self.begun) < len(begun):
            self._changed.clear()
            await self._changed.wait()
        await asyncio.sleep(0)
        assert self.begun == list(begun)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


def test_the_most_wanted_first_whoever_came_first() -> None:
    async def test() -> None:
        starts = Starts(2)
        for key, urgency in ((1, 10.0), (2, 0.0), (3, 30.0), (4, 20.0)):
            starts.come(key, urgency)
        await starts.until(3, 4)
        starts.end(4)
        await starts.until(3, 4, 1)
        starts.end(3)
        await starts.until(3, 4, 1, 2)

    run(test())


def test_a_place_is_held_until_the_start_is_over_and_given_back_once() -> None:
    async def test() -> None:
        starts = Starts(1)
        starts.come(1, 2.0)
        await starts.until(1)
        starts.come(2, 1.0)
        starts.come(3, 0.0)
        await asyncio.sleep(0.3)
        await starts.until(1)
        starts.end(1)
        starts.end(1)
        await starts.until(1, 2)

    run(test())


def test_who_is_waited_for_goes_at_once_and_takes_no_place() -> None:
    async def test() -> None:
        starts = Starts(1)
        starts.come(1, 1.0)
        await starts.until(1)
        for key in (2, 3):
            starts.come(key, 0.0)
        await asyncio.sleep(0)
        starts.queue.hurry(3)
        await starts.until(1, 3)
        starts.come(4, URGENT)
        await starts.until(1, 3, 4)
        starts.end(3)
        starts.end(4)
        await starts.until(1, 3, 4)
        starts.end(1)
        await starts.until(1, 3, 4, 2)

    run(test())


def test_who_gives_up_keeps_no_place() -> None:
    async def test() -> None:
        starts = Starts(1)
        starts.come(1, 9.0)
        await starts.until(1)
        given_up = [starts.come(key, 5.0) for key in (2, 3)]
        starts.come(4, 0.0)
        await asyncio.sleep(0)
        given_up[0].cancel()
        starts.end(1)
        given_up[1].cancel()  # its turn has just come
        await starts.until(1, 4)

    run(test())


def test_who_does_not_gather_takes_a_free_place_at_once() -> None:
    async def test() -> None:
        queue = StartQueue(1)
        first = asyncio.create_task(queue.take(1, 0.0, gather=False))
        await asyncio.sleep(0)
        assert first.done()
        second = asyncio.create_task(queue.take(2, 0.0, gather=False))
        await asyncio.sleep(0)
        assert not second.done()
        first.result().leave()
        await second

    run(test())
