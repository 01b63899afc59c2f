"""Sites that listen and don't answer: how long requests have waited, and where the main thread stands."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from hereabouts.supervisor import procfs

PATIENCE_SECONDS = 8.0
"""A request that waits to be accepted for so long is told of."""
_GLANCES, _GLANCE_SECONDS = 20, 0.1
"""How often a queue that seems to stand still is looked at once more, and how long after each other."""
_PY_SPY_SECONDS = 5.0
_DUMP_BYTES = 1 << 20
_FRAME = re.compile(r"^ {4}(\S.*) \((.+):(\d+)\)$")


class Stalls:
    """At which sockets requests wait, and since when none was accepted; looked at once a tick for all websites."""

    def __init__(self) -> None:
        self._queues: dict[str, procfs.Queue] = {}
        self._since: dict[str, float] = {}
        self._threads = ThreadPoolExecutor(2, "py-spy")  # of its own: nothing else waits for what takes this long

    def look(self, now: float) -> None:
        """Take note of the connections that wait to be accepted. ``now`` is in seconds, monotonic.

        The kernel's names of connections come again, so none of them is known by its name. They are accepted in their
        order: while somebody waits and no new one is accepted, the first has been waiting all the time.
        """
        before, self._queues = self._queues, procfs.queues()
        self._since = {
            path: self._since.get(path, now) if path in before and queue.accepted <= before[path].accepted else now
            for path, queue in self._queues.items()
            if path.startswith("/")  # another name may be that of any website's socket
        }

    def waiting(self, path: str, now: float) -> tuple[int, float]:
        """How many wait at the socket that was bound under this path, and for how long the first of them has."""
        if path not in self._since:
            return 0, 0.0
        return self._queues[path].waiting, now - self._since[path]

    async def moves(self, path: str) -> bool:
        """Whether somebody is accepted there after all: where a server closes each connection after its answer, a look
        now and then may see none of those that came in between."""
        before = self._queues.get(path)
        for _ in range(_GLANCES):
            queue = procfs.queues().get(path)
            if before is None or queue is None or not queue.accepted <= before.accepted:
                self._since.pop(path, None)
                return True
            await asyncio.sleep(_GLANCE_SECONDS)
        return False

    async def main_thread(self, pid: int) -> str | None:
        """Where a Python process's main thread stands, as ``function (file:line)``; None when it can't be seen."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _main_thread, pid)


def _main_thread(pid: int) -> str | None:
    program = Path(sys.executable).parent / "py-spy"
    with suppress(OSError), subprocess.Popen(
        [program, "dump", "--nonblocking", "--pid", str(pid)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        late = threading.Timer(_PY_SPY_SECONDS, process.kill)
        late.start()
        try:
            dump = process.stdout.read(_DUMP_BYTES) if process.stdout else b""
        finally:
            late.cancel()
            process.kill()
        return innermost_frame(dump.decode(errors="replace"))
    return None


def innermost_frame(dump: str) -> str | None:
    """The first frame of the main thread in what py-spy prints."""
    _, found, rest = dump.partition('"MainThread"')
    for line in (rest if found else "").splitlines()[1:]:
        frame = _FRAME.match(line)
        if frame is None:
            return None
        return f"{frame[1]} ({frame[2]}:{frame[3]})"
    return None
