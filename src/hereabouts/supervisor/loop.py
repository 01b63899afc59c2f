"""The supervisor's loop: reads what is wanted, has a keeper for each website, answers questions."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core import lifecycle
from hereabouts.core.certificate import Certificate
from hereabouts.core.lifecycle import Instance, Lead, Seen
from hereabouts.core.store import Store
from hereabouts.core.webapp import Observation, Website
from hereabouts.sandbox import console, homes, network, runtime
from hereabouts.supervisor import logs, metrics, names, routes
from hereabouts.supervisor.diagnosis import without_loop
from hereabouts.supervisor.keeper import Keeper
from hereabouts.supervisor.kernel import KernelLog
from hereabouts.supervisor.means import Means
from hereabouts.supervisor.questions import Certificates, Questions
from hereabouts.supervisor.records import Records
from hereabouts.supervisor.sandboxed import Sandboxed, finish, is_instance, remove
from hereabouts.supervisor.stall import Stalls
from hereabouts.supervisor.starts import StartQueue

_TICK_SECONDS = 5.0
_ROTATE_SECONDS = 1.0
_FIRST_SWEEP_SECONDS, _SWEEP_SECONDS = 120.0, 3600.0
_PR_SET_CHILD_SUBREAPER = 36

_LEADS = {"": Lead.NOWHERE, Lead.WAIT.value: Lead.WAIT, Lead.DISABLED.value: Lead.DISABLED}
"""What a route that leads to no socket says."""

_T = TypeVar("_T")

log = logging.getLogger("hereabouts.supervisor")


class Supervisor:
    """Keeps every website as the database wants it. The tick is the guarantee, a poke saves waiting."""

    def __init__(
        self, config: Config, store: Store, certificates: Certificates, health: Callable[[], Mapping[str, object]]
    ) -> None:
        """``health`` tells how the platform is, to whoever asks."""
        self.config = config
        self._health = health
        self._certificates = certificates
        self._store = store
        self._database = ThreadPoolExecutor(  # as control: what SQLite makes beside its file must never be root's
            1, "database", initializer=ctypes.CDLL(None).setfsuid, initargs=(config.control_uid,)
        )
        self._records = Records(lambda number, seen: self._read(lambda: self._store.record(number, seen)))
        self._means = Means(
            config=config,
            secret=config.secret_file.read_bytes(),
            seccomp=runtime.seccomp(),
            networks=network.Spare(config),
            starts=StartQueue(2 * (os.cpu_count() or 1)),
            kernel=KernelLog(config.tag),
            records=self._records,
            owner=lambda domain: self._hosts.get(domain),
            certificates=certificates,
        )
        self._keepers: dict[int, Keeper] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._hosts: dict[str, int] = {}
        self._stalls = Stalls()
        self._stalled: asyncio.Task[None] | None = None
        """Looks for stalls."""
        self._sweep_at = time.monotonic() + _FIRST_SWEEP_SECONDS
        self._metrics = metrics.Metrics(config, self._keepers)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until TERM or INT, which also ends the sandboxes; USR1 leaves them to the next supervisor."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # so that exit codes come here
        loop = asyncio.get_running_loop()
        leave = False

        def stop(*, sites_too: bool) -> None:
            nonlocal leave
            leave = not sites_too
            self._stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: stop(sites_too=True))
        loop.add_signal_handler(signal.SIGUSR1, lambda: stop(sites_too=False))
        homes.make_rootfs(self.config)
        beside = [asyncio.create_task(self._records.run())]
        await self._take_over()
        questions = Questions(self.config, self._certificates, self._keepers, self._find, self._poke, self._health)
        server = await questions.listen()
        beside += [asyncio.create_task(self._rotate()), asyncio.create_task(self._metrics.run())]
        while not self._stop.is_set():
            await self._tick()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._stop.wait()
        server.close()
        for task in [*beside, self._stalled]:
            if task:
                task.cancel()
        if leave:
            await asyncio.gather(*(keeper.abandon() for keeper in self._keepers.values()))
        else:
            await self._end_all()

    async def _read(self, ask: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._database, ask)

    async def _take_over(self) -> None:
        """Adopt the sandboxes that run, remove the remains of those that don't."""
        with _going_on("Removing what consoles left"):
            await asyncio.to_thread(console.sweep, self.config)
        found = await self._find_sandboxes()
        wanted: dict[int, Website] = {}
        observed: dict[int, Observation] = {}
        certified: Sequence[Certificate] = ()
        while not self._stop.is_set():
            try:
                wanted = {website.id: website for website in await self._read(self._store.websites)}
                observed = dict(await self._read(self._store.observations))
                certified = await self._read(self._store.certificates)
                break
            except Exception as error:
                log.error("The database does not answer: %s. Trying again.", error)
                await asyncio.sleep(1)
        self._hosts = _hosts(wanted.values())
        if self._stop.is_set():  # perhaps before it was read what is wanted
            return
        table = routes.read(self.config)
        with _going_on("Removing what earlier websites left"):  # the disk may be read-only by now
            self._sweep(found, wanted, table)
            logs.sweep(self.config, [*wanted.values(), *(sandbox.website for sandbox in found)])
            metrics.prepare(self.config, wanted)
        for sandbox in sorted(found, key=lambda sandbox: sandbox.record.since):
            with _going_on(f"Leading visitors to {sandbox.name}"):
                self._adopt(sandbox, wanted, observed, table)
        latest_first = sorted(wanted.values(), key=lambda website: logs.last_visit(self.config, website), reverse=True)
        for website in latest_first:
            with _going_on(f"Leading visitors of {website.domain}"):
                self._ensure(website, observed.get(website.id)).names.lead_again()
        with _going_on("Taking over certificates"):
            await asyncio.to_thread(self._certificates.take_over, self._hosts, certified)

    async def _find_sandboxes(self) -> list[Sandboxed]:
        """Those that run; what is left of others is removed, be it known to the runtime alone."""
        instances = {path.name for path in self.config.instances.iterdir() if path.is_dir()}
        gate = asyncio.Semaphore(4)

        async def adopt(name: str) -> Sandboxed | None:
            sandbox = None
            async with gate:
                with _going_on(f"Looking at what is left of {name}"):
                    sandbox = await asyncio.to_thread(Sandboxed.adopt, self.config, name)
                    if sandbox is None:
                        await asyncio.to_thread(remove, self.config, name)
            return sandbox

        names = instances | set(filter(is_instance, runtime.known(self.config)))
        return [sandbox for sandbox in await asyncio.gather(*map(adopt, sorted(names))) if sandbox]

    def _adopt(
        self,
        sandbox: Sandboxed,
        wanted: dict[int, Website],
        observed: dict[int, Observation],
        table: dict[str, str],
    ) -> None:
        record = sandbox.record
        keeper = self._keepers.get(record.website_id)
        if keeper is None:
            website = wanted.get(record.website_id, sandbox.website)
            past = observed.get(record.website_id)
            lead = _LEADS.get(table.get(website.domain, ""), Lead.WAIT)
            if record.website_id not in wanted:  # its name may be another website's by now, and so may the route
                lead = Lead.NOWHERE
            seen = Seen(lead=lead, served_once=True)
            if past and past.failed:
                reason = without_loop((past.detail or "").removeprefix(lifecycle.RELOAD_FAILED))
                seen = replace(seen, failed=past.failed, failure=reason, failures=1)
            keeper = self._keepers[record.website_id] = Keeper(self._means, website, seen, past)
        target = table.get(keeper.website.domain) or table.get(record.domain, "")
        routed = target.split(".")[0] == sandbox.name
        if routed:
            sandbox.published = target
        noted = Instance(sandbox.name, record.generation, record.phase, record.since)
        instance = lifecycle.adopted(noted, time.monotonic(), routed=routed)
        keeper.adopt(sandbox, instance.phase, instance.since, lead=sandbox.name if routed else None)

    def _sweep(self, found: list[Sandboxed], wanted: dict[int, Website], table: dict[str, str]) -> None:
        """Remove routes that nobody wants and sockets whose instance is gone."""
        kept = {sandbox.name for sandbox in found}
        for name, target in table.items():
            website = wanted.get(self._hosts.get(name, 0))
            if website is None:
                routes.forget(self.config, name)
            elif target not in ("wait", "disabled") and target.split(".")[0] not in kept:
                routes.lead(self.config, website, name, Lead.WAIT)
        for path in self.config.live.iterdir():
            if path.name.split(".")[0] not in kept:
                path.unlink(missing_ok=True)
        for path in self.config.sockets.iterdir():
            if path != self.config.published and path.name not in kept:
                files.remove_tree(path)

    async def _tick(self) -> None:
        """Look at everything that is wanted. What fails is tried again by the next tick; the rest goes on."""
        with _going_on("Reading the kernel's log"):
            self._means.kernel.read()
        with _going_on("Looking at what is wanted"):
            await self._look_at_all()
        with _going_on("Looking at certificates"):
            await asyncio.to_thread(self._certificates.look, tuple(self._hosts))
        await self._sweep_certificates()
        with _going_on("Looking for websites that do not answer"):
            self._stalls.look(time.monotonic())
        if self._stalled is None or self._stalled.done():  # it may take longer than a tick
            self._stalled = asyncio.create_task(self._look_for_stalls())

    async def _look_for_stalls(self) -> None:
        with _going_on("Looking for websites that do not answer"):
            await asyncio.gather(*(k.look_for_stall(self._stalls) for k in list(self._keepers.values()) if k.sandboxes))

    async def _sweep_certificates(self) -> None:
        """Soon after the start, when nothing is on its way any more, and then now and then."""
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + _SWEEP_SECONDS
        try:
            certified = await self._read(self._store.certificates)
            await asyncio.to_thread(self._certificates.sweep, tuple(self._hosts), certified)
        except Exception as error:
            log.error("Certificates could not be looked through: %s. Trying again in an hour.", error)

    async def _look_at_all(self) -> None:
        try:
            wanted = {website.id: website for website in await self._read(self._store.websites)}
        except Exception as error:
            log.error("The database does not answer: %s. Sites keep running; trying again.", error)
            return
        before, self._hosts = self._hosts, _hosts(wanted.values())
        given_up = {k.website.domain for i, k in self._keepers.items() if i in wanted and _renames(k, wanted[i])}
        for website_id, keeper in list(self._keepers.items()):
            if website_id not in wanted:
                keeper.want(None)
                self._start(website_id, keeper)
        # A log's name must be given up before another website's log takes it.
        for website in sorted(wanted.values(), key=lambda w: w.domain in given_up) if given_up else wanted.values():
            with _going_on(f"Looking at what is wanted of {website.domain}"):
                self._ensure(website)
        await self._settle_names(before)

    async def _settle_names(self, before: dict[str, int]) -> None:
        """See to the certificates of names that came, went or have another website now."""
        for keeper in [keeper for keeper in self._keepers.values() if keeper.names.unsettled]:
            await keeper.names.settle()
        moved = {name for name, owner in before.items() if self._hosts.get(name, owner) != owner}
        if moved:  # what the former owner brought goes with him
            certified = {certificate.name for certificate in await self._read(self._store.certificates)}
            for name in moved - certified:
                await asyncio.to_thread(self._certificates.withdraw, name)

    def _ensure(self, website: Website, past: Observation | None = None) -> Keeper:
        keeper = self._keepers.get(website.id)
        if keeper is None:  # what is enabled starts anew; what is not goes on as before
            keeper = self._keepers[website.id] = Keeper(self._means, website, past=None if website.enabled else past)
        try:
            keeper.want(website)
        finally:
            self._start(website.id, keeper)
        return keeper

    def _start(self, website_id: int, keeper: Keeper) -> None:
        # Whoever asks while all is being ended must not begin anew what nobody would end.
        if website_id not in self._tasks and not self._stop.is_set():
            self._tasks[website_id] = asyncio.create_task(self._keep(website_id, keeper))

    async def _keep(self, website_id: int, keeper: Keeper) -> None:
        """Run a keeper to its end; a fault in it is written down and does not take others along."""
        while True:
            try:
                await keeper.run()
                break
            except Exception:
                log.exception(
                    "Website %d (%s): the keeper failed; it goes on in a second.",
                    website_id,
                    keeper.website.domain,
                )
                await asyncio.sleep(1)
        self._keepers.pop(website_id, None)
        self._tasks.pop(website_id, None)
        with _going_on(f"Removing what is left of {keeper.website.domain}"):
            await self._clear_away(keeper.website)

    async def _clear_away(self, website: Website) -> None:
        """Remove what is left of a deleted website, but not the logs and certificates of one that has its names now."""
        heir = self._keepers.get(self._hosts.get(website.domain, website.id))
        if heir is None or logs.path(self.config, heir.website, "error") != logs.path(self.config, website, "error"):
            await asyncio.to_thread(logs.remove, self.config, website)
        for name in names.of(website):
            if self._hosts.get(name, website.id) == website.id:
                self._hosts.pop(name, None)
                await asyncio.to_thread(self._certificates.forget, name)
        await self._metrics.forget(website.id)

    def _find(self, host: str) -> Keeper | None:
        return self._keepers.get(self._hosts.get(host, 0))

    async def _poke(self, website_id: int) -> Keeper | None:
        """Look again at one website."""
        try:
            website = await self._read(lambda: self._store.website(website_id))
        except Exception:  # a server that was away, perhaps: the connection to it is a new one now
            website = await self._read(lambda: self._store.website(website_id))
        keeper = self._keepers.get(website_id)
        if website is None:
            if keeper:
                keeper.want(None)
                self._start(website_id, keeper)
        elif self._takes_or_loses(website, keeper):
            await self._look_at_all()  # who has a name now is told by all websites together
            keeper = self._keepers.get(website_id)
        else:
            self._hosts.update(dict.fromkeys(names.of(website), website_id))
            keeper = self._ensure(website)
            await keeper.names.settle()
        return keeper

    def _takes_or_loses(self, website: Website, keeper: Keeper | None) -> bool:
        """Whether names change hands, as far as is known here."""
        wanted = names.of(website)
        lost = set(names.of(keeper.website)).difference(wanted) if keeper else ()
        return bool(lost) or any(self._hosts.get(name, website.id) != website.id for name in wanted)

    async def _rotate(self) -> None:
        while True:
            await asyncio.sleep(_ROTATE_SECONDS)
            running = [keeper.website for keeper in self._keepers.values() if keeper.sandboxes]
            # One call for all: with many websites, going to a thread for each costs more than looking.
            await asyncio.to_thread(self._rotate_logs, running)

    def _rotate_logs(self, websites: list[Website]) -> None:
        rotations = [partial(logs.rotate, self.config, website) for website in websites]
        for rotate in (*rotations, partial(logs.rotate_platform, self.config)):
            try:
                rotate()
            except OSError as error:
                log.error("Could not rotate logs: %s.", error)

    async def _end_all(self) -> None:
        """End every sandbox: TERM, then KILL when its time is up. Those included whose start was under way, and those
        that nobody came to keep."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        keepers = list(self._keepers.values())
        await asyncio.gather(*(keeper.leave() for keeper in keepers))
        await self._finish([sandbox for keeper in keepers for sandbox in keeper.sandboxes.values()])
        for keeper in keepers:
            with _going_on(f"Ending {keeper.website.domain}"):
                keeper.names.lead(Lead.NOWHERE)
        await self._finish(await self._find_sandboxes())
        await asyncio.to_thread(runtime.remove_groups, self.config)

    async def _finish(self, sandboxes: list[Sandboxed]) -> None:
        await asyncio.to_thread(finish, sandboxes, self.config.stop_seconds)
        await asyncio.gather(*(asyncio.to_thread(self._remove, sandbox.name) for sandbox in sandboxes))

    def _remove(self, name: str) -> None:
        with _going_on(f"Removing what is left of {name}"):
            remove(self.config, name)


@contextlib.contextmanager
def _going_on(what: str) -> Iterator[None]:
    """Write down what fails, and go on: one website's trouble, or a full disk, must not leave all unattended."""
    try:
        yield
    except Exception as error:
        log.error("%s failed: %s. Trying again.", what, error, exc_info=not isinstance(error, OSError))


def _hosts(websites: Iterable[Website]) -> dict[str, int]:
    return {name: website.id for website in websites for name in names.of(website)}


def _renames(keeper: Keeper, website: Website) -> bool:
    return keeper.website.domain != website.domain
