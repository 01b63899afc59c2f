"""What the kernel's log tells of sandboxes, the same under every version of control groups: killed, or kept small.

Each message counts from the moment when it was read, on the monotonic clock. The kernel's own stamp is of a clock that
nobody sets right: on a machine that runs for months the two are minutes apart. So the log is read at each tick.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import replace

from hereabouts.supervisor.diagnosis import Killed

_SANDBOX = re.compile(rb"/hereabouts-(?P<tag>[0-9a-f]{4})/(?P<name>[^\s,/]+)")
_USAGE = re.compile(rb"memory: usage (?P<used>\d+)kB, limit (?P<limit>\d+)kB")
_CHOSEN = re.compile(rb"oom-kill:.*?(?:oom_memcg=(?P<full>.*?)|global_oom),task_memcg=(?P<group>.*),task=")
"""The process that is to be killed lives in ``group``; what is full is a group above it or the same, or the machine."""
_VICTIM = re.compile(
    rb"(?P<group>Memory cgroup )?[Oo]ut of memory.*?: Killed process (?P<pid>\d+) \((?P<program>.*)\) "
    rb".*?anon-rss:(?P<used>\d+)kB"
)
_REMEMBERED = 1000
_REJECTED = re.compile(rb"fork rejected by pids controller in (?P<group>.+)")


class KernelLog:
    """Reads the kernel's messages from now on and remembers which sandboxes they are about, and since when."""

    def __init__(self, tag: str) -> None:
        self._tag = tag.encode()
        self._killed: dict[str, tuple[float, Killed]] = {}
        self._victims: dict[int, tuple[float, Killed]] = {}
        """Those of whom nothing but the process was told, by its number."""
        self._rejected: dict[str, float] = {}
        self._usage = Killed()
        self._chosen: str | None = None
        """The sandbox whose process is killed by the next message; empty for somebody else's, None for unknown."""
        self._log: int | None = None
        with suppress(OSError):  # a container may hide the kernel's log: then nobody is accused
            self._log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._log, 0, os.SEEK_END)

    def killed(self, name: str, pid: int, since: float) -> Killed | None:
        """What the kernel killed in this sandbox for want of memory since then; None for nothing. It is told once.

        When it kills many at once it names the processes only: then it counts if it was ``pid``, the sandbox's first.
        """
        self.read()
        told = (self._killed.pop(name, None), self._victims.pop(pid, None))
        return next((found[1] for found in told if found and found[0] >= since), None)

    def rejected(self, name: str, since: float) -> bool:
        """Whether this sandbox was refused a process since then. The kernel says so once in a sandbox's life."""
        self.read()
        return self._rejected.get(name, since - 1) >= since

    def forget(self, name: str) -> None:
        """This sandbox is gone."""
        self._killed.pop(name, None)
        self._rejected.pop(name, None)

    def read(self) -> None:
        """Take note of what the kernel has written since it was last read."""
        while self._log is not None:
            try:
                message = os.read(self._log, 8192)
            except BrokenPipeError:  # messages were overwritten before they were read
                continue
            except OSError:
                return
            self.take(message, time.monotonic())

    def take(self, message: bytes, now: float) -> None:
        """Understand one message. A kill is told in three: the group's usage, its name, and the process."""
        if usage := _USAGE.search(message):
            self._usage = Killed(int(usage["used"]) >> 10, int(usage["limit"]) >> 10)
        elif chosen := _CHOSEN.search(message):
            self._choose(self._sandbox(chosen["group"]), self._sandbox(chosen["full"]), now)
        elif victim := _VICTIM.search(message):
            program, used = victim["program"].decode(errors="replace"), int(victim["used"]) >> 10
            self._kill(int(victim["pid"]), Killed(program=program, program_mb=used, machine=not victim["group"]), now)
        elif rejected := _REJECTED.search(message):
            self._rejected[self._sandbox(rejected["group"])] = now

    def _sandbox(self, group: bytes | None) -> str:
        """The sandbox of this platform that a control group is, or is a part of; empty for any other group."""
        found = _SANDBOX.search(group or b"")
        return found["name"].decode(errors="replace") if found and found["tag"] == self._tag else ""

    def _choose(self, name: str, full: str, now: float) -> None:
        """A process of the sandbox ``name`` is to be killed, since ``full`` is, or since all have no more memory."""
        if name:
            self._killed[name] = now, self._usage if full == name else Killed(machine=True)
        self._chosen, self._usage = name, Killed()

    def _kill(self, pid: int, victim: Killed, now: float) -> None:
        known = self._killed.get(self._chosen or "")
        if self._chosen and known:
            told = replace(known[1], program=victim.program, program_mb=victim.program_mb)
            self._killed[self._chosen] = now, told
        elif self._chosen is None:
            self._victims[pid] = now, victim
            if len(self._victims) > _REMEMBERED:
                del self._victims[next(iter(self._victims))]
        self._chosen = None
