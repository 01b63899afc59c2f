"""From the call that creates a website to its first answer, against its process alone."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path
from statistics import median

from benchmarks.machine import running
from benchmarks.report import Row
from benchmarks.stage import Stage

_LIMIT_MS = 150
_LONGEST_SECONDS = 60
_GLANCE_SECONDS = 0.002


def run(stage: Stage) -> list[Row]:
    """Platform and bare process in turn; a first start of each, which fills caches, does not count."""
    rounds = stage.rounds if stage.quick else max(5, stage.rounds)
    ours, bare = [], []
    for number in range(rounds + 1):
        stage.say(f"Creation of a website, round {number} of {rounds}")
        ours.append(_created(stage, f"new{number}") * 1000)
        bare.append(_started(stage) * 1000)
    ours, bare = ours[1:], bare[1:]
    more = median(a - b for a, b in zip(ours, bare, strict=True))
    return [
        Row(
            "From POST to the first 200 against the bare process's own time to it: FastAPI hello, uvicorn",
            f"{median(ours):.0f} ms",
            f"{median(bare):.0f} ms",
            f"{more:+.0f} ms",
            f"≤ +{_LIMIT_MS} ms",
            more <= _LIMIT_MS,
        )
    ]


def _created(stage: Stage, name: str) -> float:
    """Seconds from POST to the first 200 through the ingress."""
    domain = stage.domain(name)
    stage.account.call("GET")  # the connection to the API is there
    began = time.perf_counter()
    stage.account.create(stage.hello(), domain)
    while stage.platform.visit(domain).status_code != 200:
        assert time.perf_counter() < began + _LONGEST_SECONDS, f"{domain} does not serve"
    took = time.perf_counter() - began
    stage.account.delete(domain)
    return took


def _started(stage: Stage) -> float:
    """Seconds from the start of the bare process to its first 200 on a unix socket."""
    path = stage.account.home / f"bare-{time.monotonic_ns()}.sock"
    log = stage.scratch / "bare-start.log"
    environ = {"HOME": str(stage.account.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    began = time.perf_counter()
    with running(
        stage.bare("--uds", path.name, "hello:app"), log=log, environ=environ, uid=stage.uid, cwd=stage.account.home
    ):
        while _status(path) != 200:
            assert time.perf_counter() < began + _LONGEST_SECONDS, log.read_text()
            time.sleep(_GLANCE_SECONDS)
        took = time.perf_counter() - began
    path.unlink(missing_ok=True)
    return took


class _OnSocket(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def _status(path: Path) -> int:
    connection = _OnSocket(path)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
