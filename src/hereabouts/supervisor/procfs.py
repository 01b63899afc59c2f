"""What /proc tells of a sandbox's processes and sockets. Formats: proc(5), Documentation/filesystems/proc.rst."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_CONNECTING, _CONNECTED = "02", "03"
_TCP_LISTEN = "0A"
_UNIX_LISTENS = 0x10000
"""SO_ACCEPTCON in the flags of a unix socket."""
_EXITING, _KILL = 0x4, 1 << signal.SIGKILL - 1
"""PF_EXITING in a process's flags; KILL among the signals that it is about to see."""
_SHELLS = frozenset({"bash", "sh", "dash"})
_TICKS, _PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def accepted(pid: int, path: str) -> bool | None:
    """Whether a connection made inside this process's network namespace was accepted at ``path``.

    None when there is no such connection. A socket that waits to be accepted is listed without an inode.
    """
    found = [fields for fields in _unix_sockets(pid) if fields[7] == path and fields[5] in (_CONNECTING, _CONNECTED)]
    return all(fields[5] == _CONNECTED for fields in found) if found else None


def connections(pid: int, path: str) -> int:
    """How many connections from this machine's namespace (nginx's) the process and its children hold.

    Those that wait at this path to be accepted count, too, though they may wait at another process that has the same
    path in a namespace of its own: the table does not tell.
    """
    rows = [fields for fields in _unix_sockets("self") if fields[7] == path]
    waiting = sum(fields[5] == _CONNECTING for fields in rows)
    inodes = {f"socket:[{fields[6]}]" for fields in rows if fields[5] != _CONNECTING}
    return waiting + (sum(len(inodes & _sockets(process)) for process in descendants(pid)) if inodes else 0)


def waiting_connections() -> dict[str, str]:
    """The connections from this machine's namespace that no server has accepted yet: their path by their number."""
    return {row[0]: row[7] for row in _unix_sockets("self") if row[5] == _CONNECTING}


def unix_listeners(pid: int) -> list[str]:
    """The paths of the stream sockets that listen in the process's network namespace."""
    rows = _unix_sockets(pid)
    return sorted({row[7] for row in rows if int(row[3], 16) & _UNIX_LISTENS and row[4] == "0001"})


def _unix_sockets(pid: int | str) -> list[list[str]]:
    """The rows of a namespace's table of unix sockets that have a path."""
    try:
        table = Path(f"/proc/{pid}/net/unix").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    rows = [line.split(None, 7) for line in table.splitlines()[1:]]
    return [row for row in rows if len(row) == 8]


def _sockets(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(entry.path))  # noqa: PTH115 (a path object costs more than the call)
    return found


def tcp_ports(pid: int) -> list[int]:
    """The TCP ports that listen in the process's network namespace."""
    ports: set[int] = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text(encoding="utf-8").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _TCP_LISTEN:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(ports)


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (OSError, ValueError):
        return []


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
    except (OSError, IndexError):
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
