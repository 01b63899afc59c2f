"""`hereabouts up`: prepare the machine, start the platform's processes, keep them running, stop them."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn, Protocol

import hereabouts
from hereabouts import files, poke
from hereabouts.config import Config
from hereabouts.daemons import checks, first_run, ground, ingress, jobs, processes, record, view
from hereabouts.daemons.children import Child, Recipe, replace
from hereabouts.daemons.environ import environment
from hereabouts.daemons.processes import Process
from hereabouts.errors import HereaboutsError, MachineError, PlatformNotRunning

READY_SECONDS = 60.0
_LEAVE_SECONDS = 10.0
_HOPELESS = 3
"""Failures in a row of one process, before all are ready, that stop the start."""


class AlreadyRunning(HereaboutsError):
    """The platform with data in {data_dir} runs already (process {pid}). Use it, or stop that one first."""


class RunBySystemd(HereaboutsError):
    """systemd runs the platform with data in {data_dir} already. Use it, or `systemctl stop hereabouts.target` first:
    the websites' processes go on meanwhile."""


class Unattended(HereaboutsError):
    """{problem} Websites that ran before go on, but nothing looks after them now. Mend that, or start the version from
    before again: `hereabouts up` takes over what runs."""


class Report(Protocol):
    """What a person sees of the start."""

    def step(self, text: str) -> AbstractContextManager[Progress]:
        """A step that begins now; it has succeeded when the context ends without an exception."""

    def warn(self, text: str) -> None:
        """Something went wrong that the platform goes on without, or mends. Called from any thread."""


class Progress(Protocol):
    """A step under way."""

    def __call__(self, text: str) -> None:
        """Show what the step is doing now."""


class Stopped(BaseException):
    """A signal asked for the end."""


class HandedOver(BaseException):
    """Another `up` takes over what this one has started."""


def run(config: Config, report: Report, ready: _Ready, *, take_over: bool = False) -> None:
    """Run the platform in the foreground until INT, TERM or HUP; then stop it all, sandboxes too.

    ``ready`` is called once, when everything serves. With ``take_over`` an `up` that runs already leaves its
    processes to this one, which replaces them while the websites go on. Raises HereaboutsError when it can't start.
    """
    checks.require(checks.root(config))
    os.umask(0o022)
    if take_over:
        _ask_to_leave(config)
    with _exclusive(config), _signals():
        if record.units(config):
            raise RunBySystemd(data_dir=config.data_dir)
        served = bool(record.running(config))
        try:
            _run(config, report, ready, served=served)
        except (Stopped, HandedOver):
            return
        except HereaboutsError as error:
            if served:
                raise Unattended(problem=str(error).strip()) from error
            raise


def _ask_to_leave(config: Config) -> None:
    """Have the `up` that runs leave its processes running, and wait for its end."""
    old = record.running(config).get("up")
    if old is not None:
        processes.send(old, signal.SIGUSR1)
        if not processes.wait_ended(old, _LEAVE_SECONDS):
            raise AlreadyRunning(data_dir=config.data_dir, pid=old.pid)


class _Ready(Protocol):
    def __call__(self, result: first_run.Result) -> None: ...


def _run(config: Config, report: Report, ready: _Ready, *, served: bool) -> None:
    """``served`` says that processes of an earlier `up` run: what fails then leaves the websites to the next one."""
    old = record.recorded(config)
    environ = environment(config)
    with report.step("Checking the machine"):
        checks.essential(config, frozenset(_family(old)))
    with report.step("Preparing directories, certificates and the network"):
        recipes = prepare(config, environ)
    with report.step("Preparing the database"):
        jobs.call(config, "prepare", environ)
    family = _Family(config, recipes, report)
    try:
        with report.step("Starting nginx, control, certificates and the supervisor"):
            family.start(old)
            family.wait_ready()
        result = first_run.ensure(config, environ, report)
        ready(result)
        signal.pause()
    except HandedOver:
        family.leave()
        raise
    except BaseException as error:
        if served and isinstance(error, HereaboutsError):
            family.leave()
            raise
        _ignore_signals()
        with report.step("Stopping websites, nginx, control, certificates and the supervisor"):
            family.stop()
            _release_network(config)
        raise


def _release_network(config: Config) -> None:
    """Take rules and address away, unless a sandbox is left (a console): the rules are what confines it."""
    from hereabouts.sandbox import network

    places = [place for place in (config.instances, config.run_dir / "consoles") if place.is_dir()]
    if not any(any(place.iterdir()) for place in places):
        network.release(config)


def _family(old: Mapping[str, Process]) -> Iterator[int]:
    for process in old.values():
        yield process.pid
        yield from (member.pid for member in processes.session_members(process))


@contextmanager
def _exclusive(config: Config) -> Iterator[None]:
    """Hold the lock that one `up` of this platform has; the kernel frees it however the holder ends."""
    try:
        files.directory(config.run_dir)
        lock = (config.run_dir / "up.lock").open("a")
        os.fchmod(lock.fileno(), 0o600)  # whoever may read it could hold it
    except OSError as error:
        raise MachineError(
            problem=f"The directory {config.run_dir} can't be made: {error.strerror}.",
            remedy="Set `run_dir` to a directory that can be.",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            up = record.recorded(config).get("up")
            raise AlreadyRunning(data_dir=config.data_dir, pid=up.pid if up else "unknown") from None
        yield


@contextmanager
def _signals() -> Iterator[None]:
    def stop(number: int, frame: object) -> NoReturn:
        _ignore_signals()  # a second one, such as make's on top of the terminal's, must not cut the stop short
        raise Stopped

    def leave(number: int, frame: object) -> NoReturn:
        raise HandedOver

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: stop, signal.SIGUSR1: leave}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def prepare(config: Config, environ: Mapping[str, str]) -> list[Recipe]:
    """Make everything that the processes find in place when they start; how to run them. Safe to repeat."""
    ground.directories(config)
    source = Path(hereabouts.__file__).parent
    named = (config.wildcard_certificate, config.wildcard_key, config.acme_trust, config.acme_eab_key_file)
    given = [Path(file) for file in named if file]
    view.enter(
        [config.data_dir, config.run_dir, Path(sys.prefix), Path(sys.base_prefix), source, ingress.sources()]
        + [place for file in given for place in (file.parent, file.resolve().parent)]
    )
    os.chdir("/")
    return _recipes(config, jobs.call(config, "ground", environ)["nginx"], environ)


def _recipes(config: Config, nginx: list[str], environ: Mapping[str, str]) -> list[Recipe]:
    python = [sys.executable, "-m", "hereabouts.daemons"]
    supervisor_patience = config.drain_seconds + config.stop_seconds + 10
    return [
        Recipe(
            name="supervisor", argv=[*python, "supervisor"], environ=environ, log=config.platform_log("supervisor"),
            stop_signal=signal.SIGTERM, replace_signal=signal.SIGUSR1, patience=supervisor_patience,
        ),
        Recipe(
            name="control", argv=[*python, "control"], environ=environ, log=config.platform_log("control"),
            stop_signal=signal.SIGTERM, replace_signal=signal.SIGTERM, patience=10,
        ),
        Recipe(
            name="certificates", argv=[*python, "certificates"], environ=environ,
            log=config.platform_log("certificates"), stop_signal=signal.SIGTERM, replace_signal=signal.SIGTERM,
            patience=5,
        ),
        Recipe(
            name="nginx", argv=nginx, environ=environ, log=config.platform_log("nginx"), stop_signal=signal.SIGTERM,
            replace_signal=signal.SIGKILL, patience=5, has_workers=True, renew_signal=signal.SIGHUP,
            is_outdated=lambda: ingress.is_outdated(config),
            may_start=lambda: checks.ports_free(config),
            before_start=lambda: ingress.before_start(config),
        ),
    ]  # fmt: skip


class _Family:
    """The children together: started, recorded, stopped in their order."""

    def __init__(self, config: Config, recipes: list[Recipe], report: Report) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._children = [Child(recipe, report.warn, self._record) for recipe in recipes]

    def start(self, old: Mapping[str, Process]) -> None:
        """Start all, each in the place of what an `up` that was killed has left running."""
        for child in self._children:
            name = child.recipe.name
            if name in old and child.recipe.renew_signal and processes.is_running(old[name]):
                child.keep(old[name])
            elif name in old:
                replace(child.recipe, old[name])
            child.start()

    def _record(self) -> None:
        with self._lock:
            found = {child.recipe.name: child.process for child in self._children}
            record.write(record.state_file(self._config), {"up": processes.find(os.getpid()), **found})

    def wait_ready(self) -> None:
        """Wait until visitors reach control through nginx, and the others answer. Raises MachineError."""
        deadline = time.monotonic() + READY_SECONDS
        while (silent := self._silent()) is not None:
            hopeless = next((child for child in self._children if child.failures >= _HOPELESS), None)
            if hopeless or time.monotonic() > deadline:
                late = hopeless or next(child for child in self._children if child.recipe.name == silent)
                name, how = late.recipe.name, "keeps ending" if hopeless else f"is not ready after {READY_SECONDS:g} s"
                raise MachineError(
                    problem=f"{name} {how}. The end of its log {late.recipe.log}:{late.last_lines()}\n",
                    remedy="Mend what it names; `hereabouts doctor` checks the machine.",
                )
            time.sleep(0.02)

    def _silent(self) -> str | None:
        """The first process that does not answer yet."""
        # Nginx is asked once there is somebody behind it: else its log would begin with an error.
        if not _listens(self._config.control_socket) or not answers(self._config):
            return "control"
        sockets = {"supervisor": self._config.supervisor_socket, "certificates": self._config.certificates_socket}
        return next((name for name, path in sockets.items() if not _says_how_it_is(path)), None)

    def leave(self) -> None:
        """Start nothing again: another `up` finds what runs by its record."""
        for child in self._children:
            child.leave()

    def stop(self) -> None:
        """Stop visitors' way in, then the rest; forget them."""
        for child in reversed(self._children):
            child.begin_stop()
        for child in reversed(self._children):
            child.finish_stop()
        record.state_file(self._config).unlink(missing_ok=True)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(str(path)) == 0


def _says_how_it_is(path: Path) -> bool:
    """Whether the process that listens on a socket answers."""
    try:
        return bool(poke.ask(path, "status", seconds=2))
    except PlatformNotRunning:
        return False


def answers(config: Config) -> bool:
    """Whether control answers through nginx, over TLS with the platform's certificate by the local authority."""
    address = config.listen[0].strip("[]")
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    trust = ssl.create_default_context(cafile=str(config.authority_file))
    try:
        with socket.create_connection((address, config.https_port), timeout=5) as plain:
            connection = http.client.HTTPSConnection(config.host, config.https_port, timeout=5)
            connection.sock = trust.wrap_socket(plain, server_hostname="localhost")
            with contextlib.closing(connection):
                connection.request("GET", "/api/v1/")
                return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
