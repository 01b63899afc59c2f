"""POSTs on connections that were left idle until about the moment at which servers close theirs.

Clients keep their connections to the proxy. What may close under a POST is the proxy's connection to the
server: uvicorn and hypercorn close it after 5 s, gunicorn after 2 s. So that no other client keeps it busy, all
clients of a website send at once, and then none for a while.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import ExitStack

from benchmarks import baselines
from benchmarks.report import Row
from benchmarks.stage import Stage

_CLIENTS = 40
_PAUSES = (1.5, 1.98, 2.0, 2.02, 3.0, 4.0, 4.98, 5.0, 5.02, 6.0)
_QUICK_PAUSES = (1.98, 2.0, 4.98, 5.0)
_SPREAD_SECONDS = 0.02
_WAIT_SECONDS = 20
_SERVERS = {
    "uvicorn": "uvicorn --uds $DOMAIN_SOCKET --no-access-log idle:asgi",
    "hypercorn": "hypercorn --bind unix:$DOMAIN_SOCKET idle:asgi",
    "gunicorn-uvicorn": "gunicorn --bind unix:$DOMAIN_SOCKET --worker-class uvicorn_worker.UvicornWorker idle:asgi",
    "gunicorn-threads": f"gunicorn --bind unix:$DOMAIN_SOCKET --threads {_CLIENTS + 8} idle:wsgi",
    "granian": "granian --interface asgi --uds $DOMAIN_SOCKET idle:asgi",
}
# An answer takes a moment, so that every client of a wave has a connection to the server for itself.
_APP = """\
import asyncio
import time

from fastapi import FastAPI, Request
from flask import Flask, request

asgi, wsgi = FastAPI(), Flask(__name__)


@asgi.post("/")
async def asynchronous(request: Request):
    await asyncio.sleep(0.1)
    return len(await request.body())


@wsgi.post("/")
def threaded():
    time.sleep(0.1)
    return str(len(request.get_data()))
"""


def run(stage: Stage) -> list[Row]:
    """Every server at once, through the ingress and through an nginx that keeps idle connections for 60 s."""
    stage.account.write("idle.py", _APP)
    pauses = _QUICK_PAUSES if stage.quick else _PAUSES
    with ExitStack() as stack:
        domains = [
            stack.enter_context(stage.website(name, f"{stage.binary(command)}")) for name, command in _SERVERS.items()
        ]
        sockets = [stage.socket(domain) for domain in domains]
        _, ports = stack.enter_context(baselines.nginx(stage, sockets))
        stage.say(f"POSTs after {len(pauses)} pauses of {pauses[0]:g} to {pauses[-1]:g} s")
        ours = [(stage.platform.http, domain) for domain in domains]
        theirs = list(zip(ports, domains, strict=True))
        failures = asyncio.run(_all([*ours, *theirs], pauses))
    posts = _CLIENTS * len(pauses) * len(ours)
    failed, others = sum(failures[: len(ours)]), sum(failures[len(ours) :])
    return [
        Row(
            f"POSTs on connections idle for {pauses[0]:g} to {pauses[-1]:g} s, {len(_SERVERS)} servers "
            f"({', '.join(_SERVERS)}), against nginx with a fixed upstream and its default idle time",
            f"{failed} failed of {posts:,}" + _by_server(failures[: len(ours)]),
            f"{others} failed of {posts:,}" + _by_server(failures[len(ours) :]),
            f"{failed - others:+d}",
            f"0 failed of {posts:,}",
            failed == 0,
        )
    ]


def _by_server(failures: list[int]) -> str:
    named = [f"{name} {count}" for name, count in zip(_SERVERS, failures, strict=True) if count]
    return f" ({', '.join(named)})" if named else ""


async def _all(targets: list[tuple[int, str]], pauses: tuple[float, ...]) -> list[int]:
    """The failed POSTs of each target."""
    return list(await asyncio.gather(*(_waves(port, host, pauses) for port, host in targets)))


async def _waves(port: int, host: str, pauses: tuple[float, ...]) -> int:
    clients = [_Client(port, host) for _ in range(_CLIENTS)]
    await asyncio.gather(*(client.post() for client in clients))
    failed = 0
    for pause in pauses:
        answers = await asyncio.gather(*(client.post_after(pause) for client in clients))
        failed += answers.count(False)
    for client in clients:
        client.close()
    return failed


class _Client:
    """One keep-alive connection. It does not repeat a request that failed, as a library might."""

    def __init__(self, port: int, host: str) -> None:
        self._port, self._host = port, host
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post_after(self, pause: float) -> bool:
        """Leave the connection idle for about that long, then POST."""
        await asyncio.sleep(pause + random.uniform(-_SPREAD_SECONDS, _SPREAD_SECONDS))
        return await self.post()

    async def post(self) -> bool:
        """Whether a POST on the connection was answered with 200 and what it should be."""
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                return await self._post()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            self.close()
            return False

    async def _post(self) -> bool:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"POST / HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: 5\r\n\r\nhello".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
        if "content-length" not in fields:
            raise ValueError(head)
        body = await reader.readexactly(int(fields["content-length"]))
        if fields.get("connection") == "close":
            self.close()
        return head.split()[1] == "200" and body == b"5"

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None
