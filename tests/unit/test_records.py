"""Observations on their way into a database that fails at first."""

from __future__ import annotations

import asyncio
import sqlite3

from hereabouts.core.webapp import Observation, Status
from hereabouts.supervisor.records import Records


def seen(status: Status) -> Observation:
    return Observation(status, 0.0, None, 0, 0)


def test_the_latest_of_each_website_is_written_whatever_fails() -> None:
    written: list[tuple[int, Status]] = []
    told: list[str] = []

    async def try_it() -> None:
        async def write(website_id: int, observation: Observation) -> None:
            if not failed.is_set():
                failed.set()
                raise sqlite3.OperationalError("database or disk is full")
            written.append((website_id, observation.status))

        async def done(what: str) -> None:
            told.append(what)
            if len(told) == 2:
                both.set()

        failed, both = asyncio.Event(), asyncio.Event()
        records = Records(write)
        records.put(1, seen(Status.STARTING), lambda: done("early"))
        records.put(2, seen(Status.CRASHED), lambda: done("other"))
        running = asyncio.create_task(records.run())
        await failed.wait()
        records.put(1, seen(Status.RUNNING), lambda: done("late"))
        async with asyncio.timeout(60):
            await both.wait()
        running.cancel()

    asyncio.run(try_it())
    assert written == [(2, Status.CRASHED), (1, Status.RUNNING)]
    assert told == ["other", "late"]
