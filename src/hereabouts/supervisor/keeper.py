"""The keeper of one website: compares what is wanted with what is seen, and acts, until they agree."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from hereabouts.core import lifecycle
from hereabouts.core.lifecycle import (
    Action,
    Clear,
    GiveUp,
    Instance,
    Lead,
    Move,
    Phase,
    Publish,
    Route,
    Seen,
    Start,
)
from hereabouts.core.webapp import Observation, Website
from hereabouts.errors import HereaboutsError, SandboxError
from hereabouts.supervisor import evidence, logs, steps
from hereabouts.supervisor.diagnosis import DEAF, explain_health, explain_stall
from hereabouts.supervisor.means import Means, limits
from hereabouts.supervisor.names import Names
from hereabouts.supervisor.sandboxed import Sandboxed, remove
from hereabouts.supervisor.stall import PATIENCE_SECONDS, Stalls
from hereabouts.supervisor.starts import URGENT, Place
from hereabouts.supervisor.telling import Telling
from hereabouts.supervisor.turns import Turns
from hereabouts.supervisor.watch import Accepted, Checking, Elsewhere, Event, Exited, Idle, Watch

log = logging.getLogger("hereabouts.supervisor")

_SOON_SECONDS = 2.0
"""Visitors are held for a next try that comes within this time; otherwise they are told."""
_DEAF_SECONDS = 1.0
"""A server that takes no connections for so long after it did, while its process goes on, is replaced."""
_AFTER_ERROR_SECONDS = 1.0


class Keeper:
    """Brings one website to what is wanted of it and keeps it there. All methods run in the event loop."""

    def __init__(
        self, means: Means, website: Website, seen: Seen | None = None, past: Observation | None = None
    ) -> None:
        self._means = means
        self._config = means.config
        self._limits = limits(means.config)
        self.website = website
        self.wanted: Website | None = website
        self.names = Names(means.config, means.certificates, means.owner, website)
        self.seen = seen or Seen()
        self.sandboxes: dict[str, Sandboxed] = {}
        self._watches: dict[str, Watch] = {}
        self._places: dict[str, Place] = {}
        self._starting: asyncio.Future[Sandboxed] | None = None
        """The start that is under way, or was latest."""
        self._refusing = ""
        self._search: asyncio.Task[None] | None = None
        """For the socket of the instance that is ``_refusing``."""
        self._frame: str | None = None
        """Where its main thread stood when it was found not to answer."""
        self.turns = Turns()
        """Of the visitors who are held, once they may go."""
        self.restarts = 0
        """Starts of a process in the place of one that had ended by itself, since this supervisor began."""
        self._started = 0
        self.steps = steps.Steps()
        """Of the latest start."""
        self._wake = asyncio.Event()
        self._telling = Telling(website.id, means.records, self._limits, past)

    def want(self, website: Website | None) -> None:
        """Take note of what is wanted now; None once the website is deleted."""
        changed = website is not self.wanted and website != self.wanted
        behind = website is not None and self.website != website  # it could not be followed the last time
        if changed or behind or not self._telling.begun:
            if changed:
                self.seen = replace(self.seen, changed_at=time.monotonic())
                self._expect(website)
            self.wanted = website
            self._wake.set()
            if website is not None:
                self._follow(website)

    def _expect(self, website: Website | None) -> None:
        """Tell of the start that comes of this change, if one does."""
        if website is None or not website.enabled:
            self.steps.drop()
        elif website.generation > self.website.generation:
            self.steps.begin(website.generation, time.monotonic())

    def _follow(self, website: Website) -> None:
        """Take over names and whatever else holds for visitors; a running instance needs no other process for that."""
        self.names.follow(website)
        if self.website.domain != website.domain:
            logs.rename(self._config, self.website, website)
            for sandbox in self.sandboxes.values():
                sandbox.rename(website.domain)
        self.website = website

    def adopt(self, sandbox: Sandboxed, phase: Phase, since: float, *, lead: str | None = None) -> None:
        """Take over an instance that runs already; ``lead`` is its name when visitors are led to it."""
        instance = Instance(sandbox.name, sandbox.record.generation, phase, since)
        self.sandboxes[sandbox.name] = sandbox
        self._started = max(self._started, sandbox.record.generation)
        self.seen = replace(self.seen, instances=(*self.seen.instances, instance), lead=lead or self.seen.lead)
        self._attend(sandbox)
        if lead:
            self.names.lead(sandbox.published)
        if sandbox.logged.domain != self.website.domain:  # it got another main name while nobody supervised it
            logs.rename(self._config, sandbox.logged, self.website)
            sandbox.rename(self.website.domain)

    async def run(self) -> None:
        """Keep the website until it is deleted and nothing of it is left."""
        while True:
            self._wake.clear()
            now = time.monotonic()
            plan = lifecycle.plan(self.wanted, self.seen, now, self._limits)
            for action in plan.actions:
                await self._apply(action)
            await self._telling.tell(self.wanted, self.seen)
            if plan.actions:
                continue
            if self.wanted is None and not self.seen.instances:
                return
            await self._sleep(plan.wake_at)

    async def settle(self, generation: int, seconds: float) -> bool:
        """Wait until the generation serves or failed, or the website is off; False when the time is up."""

        def answered() -> bool:
            return lifecycle.settled(self.wanted, self._telling.told, generation)

        return await self._wait_for(answered, seconds)

    async def look_for_stall(self, stalls: Stalls) -> None:
        """See whether requests wait at the server that serves, and say so in the website's state."""
        sandbox = self.sandboxes.get(str(self.seen.lead))
        if sandbox is None:
            return
        waiting, seconds = stalls.waiting(sandbox.bound, time.monotonic())
        trouble = None
        if seconds >= PATIENCE_SECONDS:
            if self.seen.trouble is None:
                if await stalls.moves(sandbox.bound):
                    return
                self._frame = await stalls.main_thread(sandbox.pid)
            trouble = explain_stall(waiting, seconds, self._frame)
            if self.seen.trouble is None:
                logs.note(self._config, self.website, trouble)
        if trouble != self.seen.trouble and self.seen.lead == sandbox.name:
            self.seen = replace(self.seen, trouble=trouble)
            self._wake.set()

    async def hold(self, seconds: float) -> str:
        """Wait for the website to serve: ``go``, or ``down`` when it won't soon."""
        published = self.sandboxes.get(str(self.seen.lead))
        if published and not await asyncio.to_thread(published.answers) and self._refusing != published.name:
            self._refusing = published.name
            self._search = asyncio.create_task(self._find_again(published))  # for all who find that out, and may leave

        def answered() -> bool:
            return self._serves() or self._hopeless()

        await self._wait_for(answered, seconds)
        return "go" if self._serves() else "down"

    async def leave(self) -> None:
        """Stop watching; the processes go on."""
        if self._search:
            self._search.cancel()
        await asyncio.gather(*(watch.end() for watch in self._watches.values()))
        if self._starting:  # what comes of it nobody keeps; the supervisor looks for such
            await asyncio.gather(self._starting, return_exceptions=True)

    async def abandon(self) -> None:
        """Leave them to the next supervisor, which adopts them."""
        await self.leave()
        for sandbox in self.sandboxes.values():
            sandbox.close()

    def _serves(self) -> bool:
        sandbox = self.sandboxes.get(str(self.seen.lead))
        return sandbox is not None and sandbox.name != self._refusing

    def _hopeless(self) -> bool:
        if self.wanted is None or not self.wanted.enabled:
            return True
        coming = any(i.phase in lifecycle.COMING for i in self.seen.instances)
        return not coming and self.seen.retry_at > time.monotonic() + _SOON_SECONDS

    async def _wait_for(self, answered: Callable[[], bool], seconds: float) -> bool:
        self._means.starts.hurry(self.website.id)
        return await self._telling.wait_for(answered, seconds)

    async def _sleep(self, wake_at: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if wake_at is None else max(0.0, wake_at - time.monotonic()) + 0.001):
                await self._wake.wait()

    async def _apply(self, action: Action) -> None:
        match action:
            case Start(generation):
                await self._start(generation)
            case Publish(name):
                await self._publish(name)
            case Route(target):
                await self._route(target)
            case Move(name, phase):
                self._move(name, phase)
            case GiveUp(name):
                await self._give_up(name)
            case Clear(name):
                await self._clear(name)

    async def _start(self, generation: int) -> None:
        self.steps.begin(generation, time.monotonic())
        serving = self.sandboxes.get(str(self.seen.lead))
        lacking = await asyncio.to_thread(evidence.of_no_room, serving) if serving else None
        if lacking:
            self._fail(generation, lacking)
            return
        means = self._means
        place = await means.starts.take(self.website.id, self._urgency(), gather=not self.seen.served_once)
        website = self.wanted
        if website is None or not website.enabled:  # meanwhile somebody thought better of it
            place.leave()
            return
        self.steps.reach(website.generation, steps.SANDBOX, time.monotonic())
        start = asyncio.to_thread(
            Sandboxed.start, self._config, website, means.secret, means.seccomp, means.networks, time.monotonic()
        )
        self._starting = asyncio.ensure_future(start)
        try:
            sandbox = await asyncio.shield(self._starting)
        except BaseException as error:
            place.leave()
            if not isinstance(error, HereaboutsError):
                raise
            self._fail(website.generation, str(error))
            return
        self.sandboxes[sandbox.name] = sandbox
        self.restarts += website.generation == self._started
        self._started = website.generation
        self._places[sandbox.name] = place
        self.steps.reach(website.generation, steps.SOCKET, time.monotonic())
        instance = Instance(sandbox.name, website.generation, Phase.STARTING, time.monotonic())
        self.seen = replace(self.seen, instances=(*self.seen.instances, instance))
        self._attend(sandbox)

    def _urgency(self) -> float:
        """How soon to start: a website that is waited for or serves already first, then by its last visit."""
        if self._telling.waiting or isinstance(self.seen.lead, str):
            return URGENT
        return logs.last_visit(self._config, self.website)

    async def _publish(self, name: str) -> None:
        sandbox = self.sandboxes[name]
        sandbox.end_probe()
        try:
            self.names.lead(await asyncio.to_thread(self._link, sandbox))
        except (SandboxError, OSError) as error:
            self._fail(sandbox.record.generation, str(error))
            self._move(name, Phase.TERMINATING)
            return
        now = time.monotonic()
        self.seen = lifecycle.published(self.seen, name, now)
        self.steps.finish(sandbox.record.generation, now)
        sandbox.keep(Phase.SERVING, now)

    def _link(self, sandbox: Sandboxed) -> str:
        self.names.prepare()
        return sandbox.publish()

    async def _find_again(self, sandbox: Sandboxed) -> None:
        """The published socket refuses: lead to the one that its server made since, or have the instance replaced."""
        deadline = time.monotonic() + _DEAF_SECONDS
        while self.seen.lead == sandbox.name and not sandbox.exited:
            try:
                found = await asyncio.to_thread(sandbox.republish)
                if found is not None:
                    self.names.lead(found[0])
                    sandbox.republished(*found)
                    self._refusing = ""
                    break
            except Exception:
                log.exception("Could not look for the socket of %s; trying again.", sandbox.name)
                await asyncio.sleep(_AFTER_ERROR_SECONDS)
                continue
            if time.monotonic() > deadline and not sandbox.dying():
                self._fail(sandbox.record.generation, DEAF)
                self.seen = lifecycle.deafened(self.seen, sandbox.name)
                break
            await asyncio.sleep(0.05)
        self._wake.set()

    async def _route(self, target: Lead) -> None:
        if target is not Lead.NOWHERE:
            await asyncio.to_thread(self.names.prepare)
        self.names.lead(target)
        self.seen = replace(self.seen, lead=target)

    def _move(self, name: str, phase: Phase) -> None:
        sandbox = self.sandboxes[name]
        now = time.monotonic()
        before, self.seen = self.seen, lifecycle.moved(self.seen, name, phase, now)
        if self.seen == before:  # it is further than when this was planned
            return
        sandbox.keep(phase, now)
        self._watches[name].stir()
        if phase is Phase.DRAINING and self.wanted and self.wanted.stop_first:
            self.steps.reach(self.wanted.generation, steps.OLD, now)
        if phase is Phase.TERMINATING:
            self._end_start(name)
            sandbox.terminate()
        elif phase is Phase.KILLING:
            sandbox.kill()

    def _end_start(self, name: str) -> None:
        """Give the place among those that start to the next one."""
        if name in self._places:
            self._places.pop(name).leave()

    async def _give_up(self, name: str) -> None:
        sandbox, instance, check = self.sandboxes[name], self._instance(name), self.website.health
        if instance is None or instance.phase not in lifecycle.YOUNG:  # it came up, or ended, in the last moment
            return
        if check and instance.phase is Phase.CHECKING:
            reason = explain_health(check.path, self._watches[name].answer, check.seconds)
        else:
            reason = _explained(
                lambda: evidence.of_silence(self._config, self._means.kernel, sandbox, self._limits.start),
                f"It does not listen on $DOMAIN_SOCKET after {self._limits.start:g} s.",
            )
        self._fail(sandbox.record.generation, reason)
        self._move(name, Phase.TERMINATING)

    async def _clear(self, name: str) -> None:
        sandbox = self.sandboxes.pop(name, None)
        await asyncio.to_thread(remove, self._config, name)
        if sandbox:
            sandbox.close()
        self._means.kernel.forget(name)
        self._watches.pop(name, None)
        remaining = tuple(i for i in self.seen.instances if i.id != name)
        self.seen = replace(self.seen, instances=remaining)

    def _fail(self, generation: int, reason: str, served: float = 0.0) -> None:
        self.seen = lifecycle.failed(self.seen, generation, reason, time.monotonic(), self._limits, served=served)
        self.steps.fail(generation, reason, time.monotonic())
        told = evidence.in_a_row(self.seen, reason)
        logs.note(self._config, self.website, f"The website is not serving: {told}" if not served else told)

    def _attend(self, sandbox: Sandboxed) -> None:
        name = sandbox.name
        self._watches[name] = Watch(
            sandbox,
            lambda: self._instance(name),
            lambda event: self._observe(sandbox, event),
            lambda: self.website.health,
        )

    def _instance(self, name: str) -> Instance | None:
        return next((i for i in self.seen.instances if i.id == name), None)

    def _observe(self, sandbox: Sandboxed, event: Event) -> None:
        """Take note of what happened to an instance, and plan anew."""
        now = time.monotonic()
        if not isinstance(event, Elsewhere | Checking):
            self._end_start(sandbox.name)
        match event:
            case Checking():
                path = self.website.health.path if self.website.health else "/"
                self.steps.reach(sandbox.record.generation, steps.check(path), now)
                self._move(sandbox.name, Phase.CHECKING)
            case Accepted():
                self.steps.reach(sandbox.record.generation, steps.LEAD, now)
                self.seen = lifecycle.moved(self.seen, sandbox.name, Phase.READY, now)
            case Idle(idle):
                self.seen = lifecycle.idled(self.seen, sandbox.name, idle=idle)
            case Elsewhere(reason):
                self.seen = lifecycle.hinted(self.seen, sandbox.name, reason)
            case Exited():
                self._exited(sandbox)
        self._wake.set()

    def _exited(self, sandbox: Sandboxed) -> None:
        ended = sandbox.reap()
        instance = self._instance(sandbox.name)
        sandbox.end_probe()
        if instance and instance.phase in lifecycle.LIVE:
            served = time.monotonic() - instance.since if instance.phase is Phase.SERVING else 0.0
            reason = _explained(
                lambda: evidence.of_end(self._config, self._means.kernel, sandbox, ended, served=served > 0),
                "Its process ended.",
            )
            self._fail(sandbox.record.generation, reason, served)
        self.seen = lifecycle.moved(self.seen, sandbox.name, Phase.ENDED, time.monotonic())


def _explained(explain: Callable[[], str], plainly: str) -> str:
    """The reason that is found, or what is known without looking: what ended must not seem to go on for want of one."""
    try:
        return explain()
    except Exception:
        log.exception("A failure could not be explained.")
        return plainly
