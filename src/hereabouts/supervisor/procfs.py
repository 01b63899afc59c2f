"""What /proc tells of a sandbox's processes and sockets. Formats: proc(5), Documentation/filesystems/proc.rst.

What a process that has ended would have told is left out; whatever else can't be read raises OSError, so that a want
of descriptors is not taken for an answer. How much there is to read is for tenants to say, so it is limited.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_CONNECTING, _CONNECTED = "02", "03"
_TCP_LISTEN = "0A"
_UNIX_LISTENS = 0x10000
"""SO_ACCEPTCON in the flags of a unix socket."""
_EXITING, _KILL = 0x4, 1 << signal.SIGKILL - 1
"""PF_EXITING in a process's flags; KILL among the signals that it is about to see."""
_ROW = re.compile(r"[0-9a-f]+: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) ([0-9A-F]{4}) ([0-9A-F]{2}) +(\d+) (.+)")
_TABLE_BYTES = 1 << 20
"""So much is read of the table of a sandbox's own sockets."""
_DESCRIPTORS = 20_000
"""So many descriptors of a sandbox's processes are looked at."""
_FRESH_SECONDS = 0.1
_GONE = (FileNotFoundError, ProcessLookupError)
_SHELLS = frozenset({"bash", "sh", "dash"})
_TICKS, _PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class _Row(NamedTuple):
    """A unix socket. One that waits to be accepted has the inode 0."""

    flags: str
    type: str
    state: str
    inode: str
    path: str


def accepted(pid: int, path: str) -> bool | None:
    """Whether a connection made inside this process's network namespace was accepted at ``path``.

    None when there is no such connection.
    """
    states = {row.state for row in _unix_sockets(pid) if row.path == path} & {_CONNECTING, _CONNECTED}
    return states == {_CONNECTED} if states else None


def connections(pid: int, path: str) -> int:
    """How many connections from this machine's namespace (nginx's) the process and its children hold.

    Those that wait at this path to be accepted count, too, though they may wait at another process that has the same
    path in a namespace of its own: the table does not tell. (At a path that is not absolute, they most likely do, and
    don't count.) Processes with more descriptors than can be looked at
    hold one at least.
    """
    rows = [row for row in _machine.rows() if row.path == path]
    waiting = sum(row.state == _CONNECTING for row in rows) if path.startswith("/") else 0
    inodes = {f"socket:[{row.inode}]" for row in rows if row.state != _CONNECTING}
    if not inodes:
        return waiting
    held = looked = 0
    for process in descendants(pid):
        for target in _descriptors(process):
            held += target in inodes
            looked += 1
            if looked > _DESCRIPTORS:
                return waiting + max(held, 1)
    return waiting + held


class Queue(NamedTuple):
    """Connections from this machine's namespace at one path: how many wait to be accepted, the inodes of the others."""

    waiting: int
    accepted: frozenset[str]


def queues() -> dict[str, Queue]:
    """The queues of all paths at which a connection waits."""
    rows = _machine.rows()
    waiting = Counter(row.path for row in rows if row.state == _CONNECTING)
    accepted: dict[str, set[str]] = {path: set() for path in waiting}
    for row in rows:
        if row.path in accepted and row.state == _CONNECTED:
            accepted[row.path].add(row.inode)
    return {path: Queue(count, frozenset(accepted[path])) for path, count in waiting.items()}


def unix_listeners(pid: int) -> list[str]:
    """The paths of the stream sockets that listen in the process's network namespace."""
    rows = _unix_sockets(pid)
    return sorted({row.path for row in rows if int(row.flags, 16) & _UNIX_LISTENS and row.type == "0001"})


def _unix_sockets(pid: int) -> list[_Row]:
    """The rows of the table of unix sockets, in the namespace of a process, that have a path."""
    try:
        with Path(f"/proc/{pid}/net/unix").open("rb") as table:
            return _rows(table.read(_TABLE_BYTES))
    except _GONE:
        return []


def _rows(table: bytes) -> list[_Row]:
    """A path may hold line breaks, and then its rest looks like a row: routes.py lets none of these in."""
    found = map(_ROW.fullmatch, table.decode(errors="replace").split("\n"))
    return [_Row(*row.groups()) for row in found if row]


class _Machine:
    """The rows of this machine's own namespace, read once for all who ask in the same moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = -_FRESH_SECONDS
        self._latest: list[_Row] = []

    def rows(self) -> list[_Row]:
        with self._lock:
            if time.monotonic() - self._read_at >= _FRESH_SECONDS:
                self._latest = _rows(Path("/proc/self/net/unix").read_bytes())
                self._read_at = time.monotonic()
            return self._latest


_machine = _Machine()


def _descriptors(pid: int) -> Iterator[str]:
    with suppress(*_GONE), os.scandir(f"/proc/{pid}/fd") as found:
        for entry in found:
            with suppress(*_GONE):
                yield os.readlink(entry.path)  # noqa: PTH115 (a path object costs more than the call)


def tcp_ports(pid: int) -> list[int]:
    """The TCP ports that listen in the process's network namespace."""
    ports: set[int] = set()
    for table in ("tcp", "tcp6"):
        try:
            with Path(f"/proc/{pid}/net/{table}").open(encoding="utf-8") as file:
                lines = file.read(_TABLE_BYTES).rpartition("\n")[0].splitlines()
        except _GONE:
            continue
        for line in lines[1:]:
            fields = line.split()
            if fields[3] == _TCP_LISTEN:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(ports)


def children(pid: int) -> list[int]:
    """The processes that this one started, with any of its threads."""
    found: list[int] = []
    with suppress(*_GONE):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (path objects cost more than the call)
            with suppress(*_GONE), open(f"/proc/{pid}/task/{task}/children", "rb") as listed:  # noqa: PTH123 (as above)
                found.extend(map(int, listed.read().split()))  # to its end: the kernel gives a page at a time
    return found


def descendants(pid: int) -> list[int]:
    """The process and all that it and its children started."""
    found = [pid]
    for process in found:
        found.extend(children(process))
    return found


def dying(pid: int) -> bool:
    """Whether a process is on its way out: while its memory is freed, its socket still takes connections."""
    try:
        flags = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[6]
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (*_GONE, IndexError):
        return True
    pending = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigPnd:"))
    return bool(int(flags) & _EXITING or pending & _KILL)


def servers(pid: int) -> list[int]:
    """The processes to signal: process 1, or what a shell in its place started (a shell passes nothing on)."""
    found = [pid]
    for _ in range(5):
        below = [child for parent in found if _name(parent) in _SHELLS for child in children(parent)]
        if not below:
            break
        found = [p for p in found if _name(p) not in _SHELLS] + below
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def memory_bytes(pid: int, *, below: bool = True) -> int:
    """The memory that a process and all below it share out between them (PSS), in bytes."""
    total = 0
    for process in descendants(pid) if below else [pid]:
        with suppress(OSError):
            lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total


def usage(pid: int) -> tuple[float, int]:
    """The processor time in seconds that a process, all below it and their ended children took; their memory in bytes.

    The memory is what is resident, pages of files counted for the process that has most of them only. That costs a
    tenth of what PSS does, which is the time to look at every page.
    """
    ticks = pages = shared = 0
    for process in descendants(pid):
        try:
            times = _read(f"/proc/{process}/stat").rpartition(b")")[2].split()[11:15]
            _, resident, of_files = map(int, _read(f"/proc/{process}/statm").split()[:3])
        except (OSError, ValueError):
            continue
        ticks += sum(map(int, times))
        pages += resident - of_files
        shared = max(shared, of_files)
    return ticks / _TICKS, (pages + shared) * _PAGE_BYTES


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def free_memory_bytes() -> int:
    """The memory that new processes can have without swapping, in bytes."""
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 62
