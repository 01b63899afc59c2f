"""What the kernel's log tells of sandboxes, the same under every version of control groups: killed, or kept small."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import replace

from hereabouts.supervisor.diagnosis import Killed

_GROUP = rb"/?\S*?/hereabouts-(?P<tag>[0-9a-f]{4})/(?P<name>[^\s,/]+)"
_USAGE = re.compile(rb"memory: usage (?P<used>\d+)kB, limit (?P<limit>\d+)kB")
_KILLED = re.compile(rb"oom-kill:.*?_memcg=" + _GROUP)
_VICTIM = re.compile(rb"Killed process (?P<pid>\d+) \((?P<program>.*)\) .*?anon-rss:(?P<used>\d+)kB")
_REMEMBERED = 1000
_REJECTED = re.compile(rb"fork rejected by pids controller in " + _GROUP)


class KernelLog:
    """Reads the kernel's messages from now on and remembers which sandboxes they are about."""

    def __init__(self, tag: str) -> None:
        self._tag = tag.encode()
        self._killed: dict[str, Killed] = {}
        self._victims: dict[int, Killed] = {}
        self._rejected: set[str] = set()
        self._usage = Killed()
        self._last: str | None = None
        self._log: int | None = None
        with suppress(OSError):  # a container may hide the kernel's log: then nobody is accused
            self._log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._log, 0, os.SEEK_END)

    def killed(self, name: str, pid: int) -> Killed | None:
        """What the kernel killed in this sandbox for memory since it was last asked; None for nothing.

        When it kills many at once it names the processes only: then it counts if it was ``pid``, the sandbox's first.
        """
        self._read()
        victim = self._victims.pop(pid, None)
        return self._killed.pop(name, None) or victim

    def rejected(self, name: str) -> bool:
        """Whether this sandbox was ever refused a process. The kernel says so once in a sandbox's life."""
        self._read()
        return name in self._rejected

    def forget(self, name: str) -> None:
        """This sandbox is gone."""
        self._killed.pop(name, None)
        self._rejected.discard(name)

    def take(self, message: bytes) -> None:
        """Understand one message. A kill is told in three: the group's usage, its name, and the process."""
        usage, killed, victim = _USAGE.search(message), _KILLED.search(message), _VICTIM.search(message)
        rejected = _REJECTED.search(message)
        if usage:
            self._usage = Killed(int(usage["used"]) >> 10, int(usage["limit"]) >> 10)
        elif killed:
            self._last = killed["name"].decode(errors="replace") if killed["tag"] == self._tag else None
            if self._last:
                self._killed[self._last] = self._usage
            self._usage = Killed()
        elif victim:
            program, used = victim["program"].decode(errors="replace"), int(victim["used"]) >> 10
            if self._last in self._killed:
                known = self._killed[self._last]
                self._killed[self._last] = replace(known, program=program, program_mb=used)
            else:
                self._victims[int(victim["pid"])] = Killed(program=program, program_mb=used)
                if len(self._victims) > _REMEMBERED:
                    del self._victims[next(iter(self._victims))]
            self._last = None
        elif rejected and rejected["tag"] == self._tag:
            self._rejected.add(rejected["name"].decode(errors="replace"))

    def _read(self) -> None:
        while self._log is not None:
            try:
                message = os.read(self._log, 8192)
            except BrokenPipeError:  # messages were overwritten before they were read
                continue
            except OSError:
                return
            self.take(message)
