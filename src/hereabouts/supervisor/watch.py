"""Watching one instance: what happens to it is told to its keeper, as events."""

from __future__ import annotations

import asyncio
import os
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
_FOREVER = 3600.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """Its server takes connections and, where there is a health check, answers well."""


@dataclass(frozen=True, slots=True)
class Checking:
    """Its server takes connections; now its health check is asked."""


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """Its server takes connections, but the health check's time is up."""

    reason: str


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


Event = Accepted | Checking | Unhealthy | Idle | Elsewhere | Exited


class Watch:
    """Follows one instance to its end. ``instance`` looks up how the keeper sees it now."""

    def __init__(
        self,
        sandbox: Sandboxed,
        instance: Callable[[], Instance | None],
        tell: Callable[[Event], None],
        check: Health | None,
    ) -> None:
        self._sandbox, self._instance, self._tell, self._check = sandbox, instance, tell, check
        self._stirred = asyncio.Event()
        self._hinted = False
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
                pause = await self._look()
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
            return await self._look_at_start(time.monotonic() - instance.since)
        if instance.phase is Phase.DRAINING:
            idle = self._sandbox.connections() == 0
            if idle != instance.idle:
                self._tell(Idle(idle))
            return 0.2
        return _FOREVER

    async def _look_at_start(self, age: float) -> float:
        if self._sandbox.accepts():
            self._sandbox.end_probe()
            await self._accepted()
            return _FOREVER
        if age > _HINT_SECONDS and not self._hinted:
            reason = evidence.too_early(self._sandbox)
            if reason:
                self._hinted = True
                self._tell(Elsewhere(reason))
        return 0.004 if age < _EAGER_SECONDS else 0.05

    async def _accepted(self) -> None:
        reason = None
        if self._check:
            self._tell(Checking())
            reason = await self._unhealthy()
        if self._sandbox.exited:
            return
        self._tell(Unhealthy(reason) if reason else Accepted())

    async def _unhealthy(self) -> str | None:
        """None once the check is answered well; what it got instead when its time is up."""
        assert self._check is not None
        deadline = time.monotonic() + self._check.seconds
        answer = health.SILENT
        while not self._sandbox.exited and time.monotonic() < deadline:
            with self._sandbox.open_socket() as source:
                left = deadline - time.monotonic()
                latest = await self._ask(source, left) if source else "removed its socket"
            if latest is None:
                return None
            if latest != health.SILENT:  # as the last one is, which had no time left
                answer = latest
            with suppress(TimeoutError):
                async with asyncio.timeout(min(0.2, max(0.0, left))):
                    await self._stirred.wait()
        return f"The health check GET {self._check.path} {answer} within {self._check.seconds:g} s."

    async def _ask(self, source: str, seconds: float) -> str | None:
        """The check, given up at once when the process ends."""
        assert self._check is not None
        number = os.dup(int(source.rpartition("/")[2]))  # the path must hold while the request is made
        try:
            path = f"/proc/self/fd/{number}"
            asked = asyncio.create_task(health.check(path, self._sandbox.record.domain, self._check, seconds))
            stirred = asyncio.create_task(self._stirred.wait())
            await asyncio.wait({asked, stirred}, return_when=asyncio.FIRST_COMPLETED)
            stirred.cancel()
            if not asked.done():
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
                return "was interrupted"
            return asked.result()
        finally:
            os.close(number)
