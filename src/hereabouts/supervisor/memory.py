"""Who was killed for memory, as the kernel's log tells it, the same under every version of control groups."""

from __future__ import annotations

import os
import re
from contextlib import suppress

_KILLED = re.compile(rb"oom-kill:.*?_memcg=/?\S*?/hereabouts-(?P<tag>[0-9a-f]{4})/(?P<name>[^\s,/]+)")


class OutOfMemory:
    """Reads the kernel's messages from now on and remembers which sandboxes had a process killed."""

    def __init__(self, tag: str) -> None:
        self._tag = tag.encode()
        self._names: set[str] = set()
        self._log: int | None = None
        with suppress(OSError):  # a container may hide the kernel's log: then nobody is accused
            self._log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._log, 0, os.SEEK_END)

    def killed(self, name: str) -> bool:
        """Whether the kernel killed a process of this sandbox for memory since it was last asked."""
        self._read()
        found = name in self._names
        self._names.discard(name)
        return found

    def _read(self) -> None:
        while self._log is not None:
            try:
                message = os.read(self._log, 8192)
            except BrokenPipeError:  # messages were overwritten before they were read
                continue
            except OSError:
                return
            found = _KILLED.search(message)
            if found and found["tag"] == self._tag:
                self._names.add(found["name"].decode(errors="replace"))
