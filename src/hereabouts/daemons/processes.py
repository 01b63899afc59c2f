"""Which process is which. A bare process id is reused; with the moment it started it is not. See proc(5)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """A process id and the moment that process started, in clock ticks since the machine did."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    session: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[3]), int(fields[19]))


def find(pid: int) -> Process | None:
    """The process that has this id now."""
    stat = _stat(pid)
    return Process(pid, stat.started) if stat else None


def is_running(process: Process) -> bool:
    """Whether this very process runs still (one that ended and was not waited for does not)."""
    stat = _stat(process.pid)
    return stat is not None and stat.started == process.started and stat.state not in "ZX"


def since(process: Process) -> float:
    """When it started, in seconds since the epoch."""
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + process.started / _TICKS


def session_members(leader: Process) -> Iterator[Process]:
    """The processes that run in the session that ``leader`` began, itself excepted, even when it has ended.

    While a member lives the kernel gives the session's number to no other process, so that another process
    with the leader's id means that no member is left.
    """
    if find(leader.pid) not in (leader, None):
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != leader.pid:
            stat = _stat(int(entry.name))
            ours = stat and stat.session == leader.pid and stat.started >= leader.started and stat.state not in "ZX"
            if stat and ours:
                yield Process(int(entry.name), stat.started)


def count_of(uid: int, group: str) -> int:
    """How many processes with this user id run in the control groups below the one of this name (a platform's: another
    platform on the machine may have the same user ids).
    """
    return sum(_is_of(entry, str(uid), f"/{group}/") for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _is_of(entry: Path, uid: str, group: str) -> bool:
    try:
        status, groups = ((entry / name).read_text(encoding="utf-8", errors="replace") for name in ("status", "cgroup"))
    except OSError:
        return False
    fields = {key: value for key, _, value in (line.partition(":") for line in status.split("\n"))}
    return uid in fields["Uid"].split() and fields["State"].split()[0] not in "ZX" and group in groups


def boot() -> str:
    """What tells this run of the machine from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


def send(process: Process, number: signal.Signals) -> None:
    """Signal this very process; nothing happens when it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        if is_running(process):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def wait_ended(process: Process, seconds: float) -> bool:
    """Wait for the end of a process that need not be a child; False when it still runs after ``seconds``."""
    deadline = time.monotonic() + seconds
    while is_running(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True
