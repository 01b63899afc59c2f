"""One instance of a website as a process: started or adopted, watched, signalled, removed."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import select
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.lifecycle import COMING, Phase
from hereabouts.core.webapp import Account, Website, socket_path
from hereabouts.errors import HereaboutsError, SandboxError
from hereabouts.sandbox import homes, network, oci, runtime
from hereabouts.supervisor import logs, procfs, routes
from hereabouts.supervisor.diagnosis import Ended

_RECORD = "record.json"
_PHASES = frozenset(phase.value for phase in Phase)
_NAME = re.compile(r"\d+-\d+-[0-9a-f]{8}")

log = logging.getLogger("hereabouts.supervisor")


@dataclass(frozen=True, slots=True)
class Record:
    """What the next supervisor must know of an instance; kept in the instance's directory.

    ``since``, when its phase began, and ``started`` are on the machine's monotonic clock, which every process shares
    until the next boot. ``renamed`` is the website's main name if that is another one than ``domain`` by now, ``bound``
    the name that its socket was bound under if that is not the one in its environment. Another version may have written
    it: what has a default may be missing, and what is not known here is passed over.
    """

    name: str
    website_id: int
    generation: int
    domain: str
    account: Account
    command: str = ""
    phase: Phase = Phase.SERVING
    since: float = 0.0
    log_offset: int = 0
    renamed: str = ""
    bound: str = ""
    started: float = 0.0


class Sandboxed:
    """A running sandbox. Its methods block for milliseconds; the ones that start and remove, for more."""

    def __init__(self, config: Config, record: Record, pid: int, pidfd: int) -> None:
        self.config = config
        self.record = record
        self.pid = pid
        self.pidfd = pidfd
        self.published = record.name
        self.exited = False
        self._probe: socket.socket | None = None
        self._checked: int | None = None
        """The socket that was found good, held open so that no other gets its number."""

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def website(self) -> Website:
        """The website as this instance was started with it."""
        kept = self.record
        return Website(kept.website_id, kept.domain, kept.account, kept.command, True, kept.generation)

    @property
    def bound(self) -> str:
        """The name that its socket was bound under: a server may have renamed it, or named it from its directory on."""
        return self.record.bound or socket_path(self.website)

    @property
    def logged(self) -> Website:
        """The same under the name by which its logs are called now."""
        return replace(self.website, domain=self.record.renamed or self.record.domain)

    @classmethod
    def start(
        cls,
        config: Config,
        website: Website,
        secret: bytes,
        seccomp: dict[str, Any] | None,
        spare: network.Spare,
        now: float,
    ) -> Sandboxed:
        """Make the instance's directory and start its sandbox.

        Raises SandboxError or HomeMissing, and leaves nothing behind.
        """
        name = f"{website.id}-{website.generation}-{secrets.token_hex(4)}"
        bundle = config.instances / name
        try:
            homes.ensure(config, website.account)
            files.directory(bundle, mode=0o700)
            owner = (website.account.uid, website.account.uid)
            sockets = files.directory(config.sockets / name, mode=0o700, owner=owner)
            offset = logs.size(config, website, "error")
            record = Record(
                name, website.id, website.generation, website.domain, website.account, website.command,
                Phase.STARTING, now, offset, started=now,
            )  # fmt: skip
            _write(bundle, record)
            with spare.namespace() as namespace:
                content = oci.sandbox_config(
                    config, website.account, oci.site_process(website), name=name, secret=secret,
                    rootfs=config.run_dir / "rootfs", etc=homes.etc(config, website.account), namespace=namespace,
                    sockets=(sockets, os.path.dirname(socket_path(website))), seccomp=seccomp,  # noqa: PTH120
                )  # fmt: skip
                runtime.write_bundle(bundle, content)
                with logs.open_for_writing(config, website, "server") as output, \
                        logs.open_for_writing(config, website, "error") as errors:  # fmt: skip
                    pid = runtime.start(config, name, bundle, output, errors)
            return cls(config, record, pid, os.pidfd_open(pid))
        except (OSError, HereaboutsError) as error:
            remove(config, name)
            if isinstance(error, HereaboutsError):
                raise
            raise SandboxError(doing="started", problem=f"{error}.") from error

    @classmethod
    def adopt(cls, config: Config, name: str) -> Sandboxed | None:
        """Take over a sandbox that another supervisor started; None when it ended or is not whole."""
        try:
            record = _read(config.instances / name)
            pid = _running(config, name)
            pidfd = os.pidfd_open(pid)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        if not runtime.owns(config, name, pid):  # the number was used again
            os.close(pidfd)
            return None
        return cls(config, record, pid, pidfd)

    def keep(self, phase: Phase, now: float) -> None:
        """Write down the phase for the next supervisor."""
        self._note(replace(self.record, phase=phase, since=now))

    def rename(self, domain: str) -> None:
        """Take note of the website's main name now. The process keeps its socket's path, which holds the old one."""
        self._note(replace(self.record, renamed=domain))

    def _note(self, record: Record) -> None:
        self.record = record
        with suppress(OSError):
            _write(self.config.instances / self.name, record)

    def accepts(self) -> bool:
        """Whether the server takes connections: one is made, and later looks see whether it was accepted."""
        if self._probe is not None:
            found = procfs.accepted(self.pid, self.bound)
            if found is None and _was_reset(self._probe):  # whoever listened is gone, and never took it
                self.end_probe()
                return False
            return found is not False
        with self.open_socket() as source:
            if source is None:
                return False
            try:
                probe = self.inside()
            except OSError:  # process 1 is gone, and its namespace with it
                return False
            bound = routes.bound_name(probe) if routes.connects(probe, source) else None
            if bound is None:
                probe.close()
                return False
            self._probe = probe
            if bound != self.bound:
                self._note(replace(self.record, bound=bound))
            self._forget_checked()
            self._checked = os.open(source, os.O_PATH | os.O_CLOEXEC)
        return bool(procfs.accepted(self.pid, self.bound))

    def inside(self) -> socket.socket:
        """A unix socket of the sandbox's network. What connects to a socket that is not published does so with one of
        these, for the machine's own table is read for all websites, and holds the name that the tenant gave."""
        return network.unix_socket(self.pid)

    def _bound(self, source: str) -> str | None:
        """The name that a socket was bound under; None where nobody listens, or it may not be published."""
        with self.inside() as connection:
            return routes.bound_name(connection) if routes.connects(connection, source) else None

    def end_probe(self) -> None:
        """Close the connection that ``accepts`` made."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def _forget_checked(self) -> None:
        if self._checked is not None:
            os.close(self._checked)
            self._checked = None

    def connections(self) -> int:
        """How many connections of the ingress the instance holds."""
        return procfs.connections(self.pid, self.bound)

    @contextmanager
    def open_socket(self) -> Iterator[str | None]:
        """The server's own socket as a path that can't be exchanged meanwhile; None where there is none."""
        descriptor = routes.open_socket(self.config.sockets / self.name, self.record.account.uid)
        if descriptor is None:
            yield None
            return
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)

    def publish(self) -> str:
        """Link the server's socket into ``live/``; returns the name to route to. Raises SandboxError."""
        with self.open_socket() as source:
            if source is None:
                raise SandboxError(doing="published", problem="it removed its own socket before it was published.")
            bound = self.bound if self._is_checked(source) else self._bound(source)
            if bound is None:
                raise SandboxError(doing="published", problem="nobody listens at the socket that it made anew.")
            routes.publish_socket(self.config, source, self.published)
            self._note(replace(self.record, bound=bound))
        self._forget_checked()
        return self.published

    def _is_checked(self, source: str) -> bool:
        return self._checked is not None and os.path.samestat(os.fstat(self._checked), os.stat(source))  # noqa: PTH116

    def republish(self) -> tuple[str, str] | None:
        """Publish anew when the server replaced its socket: under which name, and what it was bound under; None when
        nobody listens. It counts once visitors are led there, and that is noted (``republished``)."""
        with self.open_socket() as source:
            bound = None if source is None or self.dying() else self._bound(source)
            if source is None or bound is None:
                return None
            name = f"{self.name}.{secrets.token_hex(2)}"
            routes.publish_socket(self.config, source, name)
            return name, bound

    def republished(self, name: str, bound: str) -> None:
        """Take note of it."""
        self.published = name
        self._note(replace(self.record, bound=bound))

    def answers(self) -> bool:
        """Whether the published socket takes connections that somebody will serve."""
        return not self.dying() and _listens(str(self.config.live / f"{self.published}.sock"))

    def dying(self) -> bool:
        """Whether process 1 is on its way out."""
        return procfs.dying(self.pid)

    def terminate(self) -> None:
        """Ask the server to end: TERM to process 1, or to the servers that a shell in its place started."""
        for pid in procfs.servers(self.pid):
            with suppress(OSError):
                if pid == self.pid:
                    signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
                elif runtime.owns(self.config, self.name, pid):
                    os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """End process 1, and with it every process of the sandbox (pid_namespaces(7))."""
        with suppress(OSError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self) -> Ended:
        """How the process ended, once its pidfd is readable."""
        try:
            result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        except (ChildProcessError, OSError):
            return Ended()
        if result is None:
            return Ended()
        if result.si_code == os.CLD_EXITED:
            return Ended(code=result.si_status)
        return Ended(signal=result.si_status)

    def errors(self) -> str:
        """What the instance wrote to the error log."""
        return logs.since(self.config, self.logged, "error", self.record.log_offset)

    def close(self) -> None:
        """Let go of the process without touching it."""
        self.end_probe()
        self._forget_checked()
        with suppress(OSError):
            os.close(self.pidfd)


def is_instance(name: str) -> bool:
    """Whether a sandbox of this name is an instance of a website; consoles are none."""
    return _NAME.fullmatch(name) is not None


def finish(sandboxes: Sequence[Sandboxed], seconds: float) -> None:
    """End sandboxes: TERM to all, KILL to those that run after so many seconds (at once before they served)."""
    for sandbox in sandboxes:
        with suppress(OSError):  # where it can't be told whom to ask, the others are asked all the same
            sandbox.terminate()
        if sandbox.record.phase in COMING:
            sandbox.kill()
    for sandbox in _running_after(sandboxes, seconds):
        sandbox.kill()
    _running_after(sandboxes, seconds)
    for sandbox in sandboxes:
        sandbox.reap()
        sandbox.close()


def _running_after(sandboxes: Sequence[Sandboxed], seconds: float) -> list[Sandboxed]:
    """Those that have not ended when the time is up."""
    running = {sandbox.pidfd: sandbox for sandbox in sandboxes}
    ended = select.poll()  # which takes descriptors of any number
    for pidfd in running:
        ended.register(pidfd, select.POLLIN)
    deadline = time.monotonic() + seconds
    while running and (left := deadline - time.monotonic()) > 0:
        for pidfd, _ in ended.poll(left * 1000):
            ended.unregister(pidfd)
            del running[pidfd]
    return list(running.values())


def remove(config: Config, name: str) -> None:
    """Remove what is left of an instance: the runtime's record, its published socket, its directory."""
    runtime.delete(config, name)
    routes.withdraw_socket(config, name)
    files.remove_tree(config.sockets / name)
    files.remove_tree(config.instances / name)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return routes.connects(connection, path)


def _was_reset(connection: socket.socket) -> bool:
    try:
        connection.recv(1, socket.MSG_PEEK)
    except ConnectionResetError:
        return True
    except OSError:
        return False
    return False


def _running(config: Config, name: str) -> int:
    """Process 1's id as the runtime knows it, or as noted where that can't tell. Raises ValueError if it ended."""
    try:
        found = runtime.state(config, name)
    except SandboxError as error:
        log.warning("%s is looked for by its process: %s", name, error)
        return int((config.instances / name / "pid").read_text(encoding="utf-8"))
    if found is None or found.status != "running":
        raise ValueError(name)
    return found.pid


def _read(bundle: Path) -> Record:
    """The record of an instance. Raises OSError, or ValueError, TypeError, KeyError or AttributeError if it is none."""
    kept = json.loads((bundle / _RECORD).read_text(encoding="utf-8"))
    known = {field.name: kept[field.name] for field in fields(Record) if field.name in kept}
    account = {field.name: kept["account"][field.name] for field in fields(Account) if field.name in kept["account"]}
    phase = kept.get("phase")
    return Record(
        **{**known, "account": Account(**account), "phase": Phase(phase) if phase in _PHASES else Phase.SERVING}
    )


def _write(bundle: Path, record: Record) -> None:
    content = {**asdict(record), "phase": record.phase.value}
    files.replace(bundle / _RECORD, json.dumps(content), mode=0o600, durable=False)
