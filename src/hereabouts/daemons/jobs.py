"""Asking for one of the jobs of a start (first_run.py), each in a short-lived process of its own.

So `up`, which stays, holds none of their libraries in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hereabouts import files
from hereabouts.config import Config
from hereabouts.errors import MachineError

_GLANCE_SECONDS = 0.2
EXPECTED_FAILURE = 1
"""The exit code of a process that has said what is wrong in a sentence, its last line."""


def call(config: Config, job: str, environ: Mapping[str, str], progress: Any = None) -> dict[str, Any]:
    """Run one job in its own process and return its answer. Raises MachineError with its words.

    While it runs, ``progress`` is shown the last line that it wrote to its log.
    """
    argv = [sys.executable, "-m", "hereabouts.daemons", job]
    log = config.platform_log(job)
    with (
        log.open("w+b") as errors,
        subprocess.Popen(
            argv, env=dict(environ), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            if progress:
                _follow(process, log, progress)
            out, _ = process.communicate()
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        said = files.tail(log, 4000).decode(errors="replace").strip().splitlines() or ["it said nothing"]
        if process.returncode == EXPECTED_FAILURE:
            raise MachineError(problem=said[-1], remedy="")
        raise MachineError(problem=f"The job {job} failed: {said[-1]}.", remedy=f"Its log: {log}")
    return dict(json.loads(out or b"{}"))


def _follow(process: subprocess.Popen[bytes], log: Path, progress: Any) -> None:
    while True:
        try:
            process.wait(_GLANCE_SECONDS)
            return
        except subprocess.TimeoutExpired:
            lines = files.tail(log, 500).decode(errors="replace").strip().splitlines()
            if lines:
                progress(lines[-1])
