"""The long-running processes of the platform: started, watched, started again when they die.

Each is the leader of a session of its own and writes to its own log, so that it survives its parent: when
`up` itself is killed, sites keep being served, and the next `up` takes over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from hereabouts import files
from hereabouts.daemons import processes
from hereabouts.daemons.processes import Process

_STABLE_SECONDS = 2.0
"""A process that ran for so long is started again at once: what dies every few seconds may as well serve meanwhile."""
_EAGER = 3
_LONGEST_PAUSE = 30.0
_AGAIN_SECONDS = 1.0
_SHOWN_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to run one process.

    ``replace_signal`` ends one that an `up` that was killed has left behind. ``has_workers`` tells of processes
    that outlive their dead leader; once ``may_start`` says so they are no longer in the way of a new one.
    ``patience`` is the time in seconds to wait after ``stop_signal`` before KILL. With ``renew_signal`` one left
    behind is not ended but kept, and told to read its configuration anew where that ``is_outdated``.
    """

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    stop_signal: signal.Signals
    replace_signal: signal.Signals
    patience: float
    has_workers: bool = False
    renew_signal: signal.Signals | None = None
    is_outdated: Callable[[], bool] = field(default=lambda: True)
    may_start: Callable[[], bool] = field(default=lambda: True)
    before_start: Callable[[], object] = field(default=lambda: None)


class Child(threading.Thread):
    """One process, kept running until ``stop``."""

    def __init__(self, recipe: Recipe, warn: Callable[[str], None], changed: Callable[[], None]) -> None:
        super().__init__(name=recipe.name, daemon=True)
        self.recipe = recipe
        self.failures = 0
        self.process: Process | None = None
        self._kept: Process | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._warn, self._changed = warn, changed
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    def keep(self, old: Process) -> None:
        """Watch over a process that another `up` has started, instead of starting one. Call before ``start``."""
        self.process = self._kept = old
        if self.recipe.renew_signal and self.recipe.is_outdated():
            processes.send(old, self.recipe.renew_signal)

    def run(self) -> None:
        """Start the process, and again whenever it ends: at once, then after growing pauses."""
        while not self._stopping.is_set():
            began = time.monotonic()
            ending = self._run_once()
            if self._stopping.is_set():
                return
            self.failures = 1 if time.monotonic() - began >= _STABLE_SECONDS else self.failures + 1
            pause = pause_seconds(self.failures)
            again = "started again" if pause == 0 else f"starting again in {pause:g} s"
            self._say(f"{self.recipe.name} {ending}; {again}. Its log: {self.recipe.log}{self.last_lines()}")
            if self.process and self.recipe.has_workers:
                end_workers(self.process, self.recipe.may_start)
            self._stopping.wait(pause)

    def _run_once(self) -> str:
        if self._kept:
            noted = self._note()
            while not processes.wait_ended(self._kept, _AGAIN_SECONDS):
                noted = noted or self._note()
            self._kept = None
            return "ended"
        try:
            with self._lock, self._open_log() as log:
                if self._stopping.is_set():
                    return "is stopping"
                self.recipe.before_start()
                self._popen = subprocess.Popen(
                    self.recipe.argv, env=dict(self.recipe.environ), stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, start_new_session=True, cwd="/",
                )  # fmt: skip
                self.process = processes.find(self._popen.pid)
        except OSError as error:
            return f"can't be started ({error})"
        noted = self._note()
        while True:
            try:
                return _ending(self._popen.wait(None if noted else _AGAIN_SECONDS))
            except subprocess.TimeoutExpired:
                noted = self._note()

    def _note(self) -> bool:
        """Have it written down which process runs; False where that can't be done now, as on a full disk."""
        try:
            self._changed()
        except OSError as error:
            self._say(f"Which processes run could not be written down: {error}. Trying again.")
            return False
        return True

    def _say(self, text: str) -> None:
        """Tell it where somebody can be told: a terminal that is gone must not end this thread."""
        with contextlib.suppress(OSError, ValueError):
            self._warn(text)

    def _open_log(self) -> IO[bytes]:
        """The process's log; what it says is lost where that can't be written (on a disk that is read-only now)."""
        try:
            return self.recipe.log.open("ab")
        except OSError as error:
            self._say(f"{self.recipe.name} starts without its log: {error}.")
            return open(os.devnull, "ab")  # noqa: PTH123

    def last_lines(self) -> str:
        """The end of the process's log, a line each, ready to be appended to a message."""
        try:
            lines = files.tail(self.recipe.log, 4000).decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return "".join(f"\n  {line[:300]}" for line in lines[-_SHOWN_LINES:])

    def leave(self) -> None:
        """Leave the process running, and don't start it again."""
        self._stopping.set()

    def begin_stop(self) -> None:
        """Ask the process to end, and don't start it again."""
        self._stopping.set()
        with self._lock:
            if self._kept:
                processes.send(self._kept, self.recipe.stop_signal)
            elif self._popen and self._popen.poll() is None:
                self._popen.send_signal(self.recipe.stop_signal)

    def finish_stop(self) -> None:
        """Wait for the end, and kill what takes longer than the recipe's patience."""
        if not self.is_alive():
            return
        self.join(self.recipe.patience)
        if self.is_alive() and self.process:
            processes.send(self.process, signal.SIGKILL)
            self.join()
        if self.process and self.recipe.has_workers:
            for worker in processes.session_members(self.process):
                processes.send(worker, signal.SIGKILL)


def pause_seconds(failures: int) -> float:
    """Seconds before the next start: none after the first failures, then growing, 30 s at most."""
    return 0.0 if failures <= _EAGER else min(0.25 * 2.0 ** min(failures - _EAGER, 20), _LONGEST_PAUSE)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def end_workers(leader: Process, gone: Callable[[], bool], seconds: float = 5.0) -> None:
    """End the workers that a dead leader left behind: QUIT lets nginx's finish what they serve.

    Returns once ``gone`` says that they hold nothing any more that a new leader needs.
    """
    workers = list(processes.session_members(leader))
    for worker in workers:
        processes.send(worker, signal.SIGQUIT)
    deadline = time.monotonic() + seconds
    while workers and not gone():
        if time.monotonic() > deadline:
            for worker in workers:
                processes.send(worker, signal.SIGKILL)
            return
        time.sleep(0.01)


def replace(recipe: Recipe, old: Process) -> None:
    """End a process that an `up` that was killed has left behind, workers included."""
    processes.send(old, recipe.replace_signal)
    if recipe.has_workers:
        end_workers(old, recipe.may_start)
    if not processes.wait_ended(old, 0.0 if recipe.has_workers else 5.0):
        processes.send(old, signal.SIGKILL)
        processes.wait_ended(old, 5.0)
