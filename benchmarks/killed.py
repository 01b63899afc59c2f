"""A website's process is killed: how long until its successor answers, over the same server's own boot time."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from benchmarks.machine import running
from benchmarks.reloads100 import instances
from benchmarks.report import Row
from benchmarks.stage import Stage

_LIMIT_MS = 100
_LONGEST_SECONDS = 30.0
_SETTLE_SECONDS = 1.5
# Tells which process answers.
_APP = """\
import secrets

from hello import app

NAME = secrets.token_hex(8)


@app.get("/name")
async def name():
    return NAME
"""


def run(stage: Stage) -> list[Row]:
    """Kill process 1, ask through the ingress until another process answers; in turns with a bare start."""
    stage.account.write("named_hello.py", _APP)
    count = 3 if stage.quick else 11
    ours, bare = [], []
    for number in range(count):
        stage.say(f"Kill {number + 1} of {count}")
        bare.append(_boot(stage, number))
        # A new website for each: one that is killed again and again is made to wait.
        with stage.website(f"killed{number}", f"{stage.binary('uvicorn')} {_WORDS} named_hello:app") as domain:
            sleep(_SETTLE_SECONDS)
            ours.append(_kill(stage, domain))
    difference = (median(ours) - median(bare)) * 1000
    return [
        Row(
            f"kill -9 of a website's process 1, until its successor answers through the ingress (median of {count}), "
            "over the same server's own boot time outside of a sandbox",
            f"{median(ours) * 1000:.0f} ms ({_all(ours)})",
            f"{median(bare) * 1000:.0f} ms ({_all(bare)})",
            f"{difference:+.0f} ms",
            f"≤ +{_LIMIT_MS} ms",
            difference <= _LIMIT_MS,
        )
    ]


_WORDS = "--uds $DOMAIN_SOCKET --no-access-log"


def _all(times: list[float]) -> str:
    return ", ".join(f"{time * 1000:.0f}" for time in sorted(times))


def pid_of(stage: Stage, domain: str) -> int:
    """Process 1 of the instance that serves a domain, by its number on this machine."""
    instance = stage.socket(domain).name.split(".")[0]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(stage.platform.config.supervisor_socket))
        connection.sendall(b"status\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return next(int(each["pid"]) for each in json.loads(answer)["sandboxes"] if each["instance"] == instance)


def _kill(stage: Stage, domain: str) -> float:
    """Seconds from the kill to the first 200 of another process."""
    assert instances(stage, domain) == 1
    connection = http.client.HTTPConnection("127.0.0.1", stage.platform.http, timeout=_LONGEST_SECONDS)
    before = _ask(connection, domain)
    assert before
    pid = pid_of(stage, domain)
    began = perf_counter()
    os.kill(pid, signal.SIGKILL)
    while perf_counter() < began + _LONGEST_SECONDS:
        answer = b""
        with suppress(OSError, http.client.HTTPException):
            answer = _ask(connection, domain)
        if answer and answer != before:
            took = perf_counter() - began
            connection.close()
            return took
        sleep(0.001)
    raise RuntimeError(f"{domain} did not come back")


def _ask(connection: http.client.HTTPConnection, host: str) -> bytes:
    connection.request("GET", "/name", headers={"Host": host})
    answer = connection.getresponse()
    body = answer.read()
    return body if answer.status == 200 else b""


def _boot(stage: Stage, number: int) -> float:
    """Seconds from the start of the bare server to its first answer on its socket."""
    path = stage.account.home / f"bare{number}.sock"
    environ = {"HOME": str(stage.account.home), "PATH": "/usr/bin:/bin"}
    began = perf_counter()
    with running(
        stage.bare("--uds", str(path), "named_hello:app"),
        log=stage.scratch / "killed.log", uid=stage.uid, cwd=stage.account.home, environ=environ,
    ):  # fmt: skip
        while perf_counter() < began + _LONGEST_SECONDS:
            if _answers(path):
                took = perf_counter() - began
                path.unlink(missing_ok=True)
                return took
            sleep(0.001)
    raise RuntimeError("the bare server does not answer")


def _answers(path: Path) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_LONGEST_SECONDS)
        connection.connect(str(path))
        connection.sendall(b"GET /name HTTP/1.1\r\nHost: bare\r\nConnection: close\r\n\r\n")
        return connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    return False
