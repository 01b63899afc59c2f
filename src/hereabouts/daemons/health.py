"""How the platform itself is: its processes, its disk, its versions, and what went wrong last."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hereabouts
from hereabouts.config import Config
from hereabouts.daemons import processes, record
from hereabouts.daemons.processes import Process
from hereabouts.supervisor import procfs

PROCESSES = ("up", "nginx", "control", "supervisor", "certificates")
_ERROR = re.compile(r" (ERROR|CRITICAL) |\[(error|crit|alert|emerg)\]")
"""As Python's logging and nginx mark them."""
_TAIL_BYTES = 65_536
_SHOWN_ERRORS = 5
_SHOWN_CHARACTERS = 500


def gather(config: Config) -> dict[str, Any]:
    """All of it, as JSON takes it: sizes in bytes, times in seconds since the epoch. Needs root."""
    usage = shutil.disk_usage(config.data_dir)
    return {
        "processes": process_list(config),
        "disk": {"place": str(config.data_dir), "free_bytes": usage.free, "total_bytes": usage.total},
        "versions": versions(config),
        "errors": [each for name in PROCESSES[1:] for each in _errors(config, name)],
    }


def process_list(config: Config) -> list[dict[str, Any]]:
    """The platform's processes, those that should run and do not included."""
    running = record.running(config)
    names = PROCESSES[1:] if record.units(config) else PROCESSES  # systemd is there instead of `up`
    return [_process(name, running.get(name)) for name in names]


def _process(name: str, found: Process | None) -> dict[str, Any]:
    """nginx is counted with its workers. What the others started is the platform's, or a website's."""
    return {
        "name": name,
        "state": "running" if found else "stopped",
        "pid": found.pid if found else None,
        "since": processes.since(found) if found else None,
        "memory_bytes": procfs.memory_bytes(found.pid, below=name == "nginx") if found else None,
    }


def versions(config: Config) -> dict[str, str]:
    """What the platform is made of; nginx and the runtime as they were first asked."""
    return {
        "Hereabouts": hereabouts.__version__,
        "nginx": _version(config.nginx, "-v"),
        "OCI runtime": _version(config.oci_runtime, "--version"),
        "Python": platform.python_version(),
        "Linux": os.uname().release,
    }


@functools.cache
def _version(program: str, option: str) -> str:
    try:
        done = subprocess.run([program, option], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (done.stdout + done.stderr).strip().splitlines() or ["unknown"]
    return lines[0].removeprefix("nginx version: ")[:100]


def _errors(config: Config, name: str) -> Iterator[dict[str, str]]:
    """The last errors in the log of one process, the latest last, without what websites did wrong."""
    lines = _tail(config.platform_log(name))
    website = f'upstream: "http://unix:{config.live}/'
    for line in [line for line in lines if _ERROR.search(line) and website not in line][-_SHOWN_ERRORS:]:
        yield {"process": name, "line": line[:_SHOWN_CHARACTERS]}


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return file.read(_TAIL_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return []
