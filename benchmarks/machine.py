"""The programs that measure and are measured against: found, started on loopback, ended by their own id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from tests.platform import wait_for


def program(name: str) -> str:
    """Where a program is: beside this Python, or on the path."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is not installed. `make bench` installs what the measurements need.")
    return found


def ensure_wrk() -> None:
    """Install the load generator when it is missing."""
    if not shutil.which("wrk"):
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environ, check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], env=environ, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def running(
    argv: Sequence[str], *, log: Path, environ: Mapping[str, str] | None = None, uid: int | None = None,
    cwd: Path | None = None,
) -> Iterator[psutil.Process]:  # fmt: skip
    """A program that runs inside the ``with``, as another user where ``uid`` is given.

    It leads a session of its own, as the platform's processes do: Linux shares the processor out by sessions
    (sched(7), autogroup), and one in the load generator's session would have only half of a share.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, user=uid, group=uid,
            extra_groups=None if uid is None else [], cwd=cwd, start_new_session=True,
        )  # fmt: skip
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def wait_port(port: int, log: Path) -> None:
    """Wait until somebody listens on a port of this machine."""

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    wait_for(listens, 20, f"a server on port {port}; see {log}:\n{log.read_text(errors='replace')[-500:]}")


def cpu_seconds(leader: int) -> float:
    """The processor time that a process and its children have used, user and system."""
    parent = psutil.Process(leader)
    times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    return sum(each.user + each.system for each in times)
