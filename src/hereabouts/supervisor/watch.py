"""Watching one instance: what happens to it is told to its keeper, as events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from hereabouts.core.lifecycle import Instance, Phase
from hereabouts.core.webapp import Health
from hereabouts.supervisor import evidence, health
from hereabouts.supervisor.sandboxed import Sandboxed

_EAGER_SECONDS = 3.0
_HINT_SECONDS = 1.5
"""A server that listens elsewhere and not on its socket for so long is told of."""
_CHECK_PAUSE_SECONDS = 0.2
"""Between an answer that is not the one the health check wants and the next try."""
_AFTER_ERROR_SECONDS = 1.0
_AT_MOST = 4
"""A look that takes much of the processor, for reasons that are a tenant's, is followed by so many times that."""
_FOREVER = 3600.0

log = logging.getLogger("hereabouts.supervisor")


@dataclass(frozen=True, slots=True)
class Accepted:
    """Its server takes connections and, where there is a health check, answers well."""


@dataclass(frozen=True, slots=True)
class Checking:
    """Its server takes connections; now its health check is asked."""


@dataclass(frozen=True, slots=True)
class Idle:
    """While it drains: whether the last of its connections is closed."""

    idle: bool


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """It listens in another place and not on its socket."""

    reason: str


@dataclass(frozen=True, slots=True)
class Exited:
    """Its process 1 is gone."""


Event = Accepted | Checking | Idle | Elsewhere | Exited


class Watch:
    """Follows one instance to its end. ``instance`` looks up how the keeper sees it now, ``check`` what is asked of it
    before visitors are led to it."""

    def __init__(
        self,
        sandbox: Sandboxed,
        instance: Callable[[], Instance | None],
        tell: Callable[[Event], None],
        check: Callable[[], Health | None],
    ) -> None:
        self._sandbox, self._instance, self._tell, self._check = sandbox, instance, tell, check
        self._stirred = asyncio.Event()
        self._hinted = False
        self.answer = health.SILENT
        """What the health check got latest that was not what it wants."""
        self._task = asyncio.create_task(self._follow())

    def stir(self) -> None:
        """Look at once: the keeper has moved the instance into another phase."""
        self._stirred.set()

    async def end(self) -> None:
        """Stop watching."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        loop, pidfd = asyncio.get_running_loop(), self._sandbox.pidfd

        def exited() -> None:
            self._sandbox.exited = True
            loop.remove_reader(pidfd)
            self._stirred.set()

        loop.add_reader(pidfd, exited)
        try:
            while not self._sandbox.exited:
                self._stirred.clear()
                try:
                    pause = await self._look()
                except Exception:
                    log.exception("Could not look at the instance %s; trying again.", self._sandbox.name)
                    pause = _AFTER_ERROR_SECONDS
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stirred.wait()
        finally:
            loop.remove_reader(pidfd)
        self._tell(Exited())

    async def _look(self) -> float:
        """Observe the instance; returns the seconds after which to look again."""
        instance = self._instance()
        if instance is None:
            return 1.0
        if instance.phase is Phase.STARTING:
            began = time.thread_time()
            pause = self._look_at_start(time.monotonic() - instance.since)
            return max(pause, _AT_MOST * (time.thread_time() - began))
        if instance.phase is Phase.CHECKING:
            return await self._look_at_health()
        if instance.phase is Phase.DRAINING:
            count, took = await asyncio.to_thread(self._count)
            if (count == 0) != instance.idle:
                self._tell(Idle(count == 0))
            return max(0.2, _AT_MOST * took)
        return _FOREVER

    def _count(self) -> tuple[int, float]:
        """How many connections it holds, and the processor time in seconds that it took to see that."""
        began = time.thread_time()
        return self._sandbox.connections(), time.thread_time() - began

    def _look_at_start(self, age: float) -> float:
        if self._sandbox.accepts():
            self._sandbox.end_probe()
            self._tell(Checking() if self._check() else Accepted())
            return 0.0
        if age > _HINT_SECONDS and not self._hinted:
            reason = evidence.too_early(self._sandbox)
            if reason:
                self._hinted = True
                self._tell(Elsewhere(reason))
        return 0.004 if age < _EAGER_SECONDS else 0.05

    async def _look_at_health(self) -> float:
        check = self._check()
        if check is not None:
            with self._sandbox.open_socket() as source:
                answer = await self._ask(source, check) if source else "removed its socket"
            if answer is not None:
                if answer != health.SILENT:  # as one may be that had no time left
                    self.answer = answer
                return _CHECK_PAUSE_SECONDS
        self._tell(Accepted())
        return _FOREVER

    async def _ask(self, source: str, check: Health) -> str | None:
        """The check, given up at once when the process ends or the keeper moved the instance on."""
        try:
            connection = self._sandbox.inside()
        except OSError:  # process 1 is gone
            return health.SILENT
        domain = self._sandbox.record.domain
        asked = asyncio.create_task(health.check(connection, source, domain, check, check.seconds))
        stirred = asyncio.create_task(self._stirred.wait())
        try:
            await asyncio.wait({asked, stirred}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else health.SILENT
        finally:
            asked.cancel()
            stirred.cancel()
            await asyncio.gather(asked, stirred, return_exceptions=True)
