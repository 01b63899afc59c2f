"""WebSockets that echo through a hundred reloads under full load: what is lost, and how each is closed."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter, sleep

from tests.platform import wait_for
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.crowd import crowd
from benchmarks.reloads100 import CLIENTS, instances, reload
from benchmarks.report import Row
from benchmarks.stage import SETTINGS, Stage

_SOCKETS = 50
_EVERY_SECONDS = 0.2
_LONGEST_SECONDS = 420.0
_PAUSE_SECONDS = 0.3
_PROPER = (1001, 1012)
_DRAIN_SECONDS = float(SETTINGS["DRAIN_SECONDS"])
# Tells each client first which process it has.
_APP = """\
import secrets

from fastapi import WebSocket, WebSocketDisconnect
from hello import app

NAME = secrets.token_hex(8)


@app.get("/name")
async def name():
    return NAME


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text(NAME)
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass
"""


@dataclass(slots=True)
class _Talk:
    """One WebSocket from its opening to its end, on ``perf_counter``'s clock."""

    process: str = ""
    echoed: int = 0
    wrong: int = 0
    waiting: float | None = None
    """When the message was sent whose echo did not come."""
    closed: float | None = None
    code: int | None = None
    refused: str = ""


@dataclass(slots=True)
class _Verdict:
    """What became of all messages and sockets."""

    lost: int = 0
    early: int = 0
    ages: list[float] = field(default_factory=list)
    codes: Counter[int | None] = field(default_factory=Counter)


def run(stage: Stage) -> list[Row]:
    """Every socket is closed at its process's drain limit, opens anew and meets the process of then."""
    wanted = 5 if stage.quick else 100
    stage.account.write("echoes.py", _APP)
    command = f"{stage.binary('uvicorn')} --uds $DOMAIN_SOCKET --no-access-log echoes:app"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    names: list[str] = []
    spans: list[tuple[float, float]] = []
    with stage.website("echoes", command) as domain:
        process = context.Process(target=_talk, args=(theirs, stage.platform.http, domain), daemon=True)
        with crowd(stage.platform.http, domain, clients=CLIENTS) as visitors:
            process.start()
            try:
                assert ours.poll(60)
                ours.recv()  # all are open
                names.append(stage.platform.visit(domain, "/name").json())
                deadline = perf_counter() + _LONGEST_SECONDS
                while len(spans) < wanted and perf_counter() < deadline:
                    if len(spans) % 10 == 0:
                        stage.say(f"Reload {len(spans) + 1} of {wanted} with {_SOCKETS} WebSockets")
                    began = perf_counter()
                    reload(stage, domain)
                    spans.append((began, perf_counter()))
                    names.append(stage.platform.visit(domain, "/name").json())
                    sleep(_PAUSE_SECONDS)
                wait_for(lambda: instances(stage, domain) == 1, _DRAIN_SECONDS + 30, "the end of the old processes")
                ours.send("stop")
                assert ours.poll(60)
                talks: list[_Talk] = ours.recv()
            finally:
                process.kill()
                process.join(10)
            seen = visitors.stop()
    verdict = _judge(talks, dict(zip(names, spans, strict=False)))
    echoed = sum(talk.echoed for talk in talks)
    refused = [talk.refused for talk in talks if talk.refused]
    wrong = sum(talk.wrong for talk in talks)
    codes = ", ".join(f"{count} × {code}" for code, count in sorted(verdict.codes.items(), key=str))
    proper = set(verdict.codes) <= set(_PROPER)
    broken = "".join(f", {len(refused)} could not open: {refused[0]}" for _ in refused[:1])
    failed = "".join(f": {why}" for _, why in seen.failures[:1])
    return [
        Row(
            f"{wanted} reloads under the same load with {_SOCKETS} WebSockets echoing, each closed at the drain limit "
            f"({_DRAIN_SECONDS:g} s after the reload) and opened anew",
            f"{verdict.lost} lost of {echoed + verdict.lost:,} messages, {wrong} wrong; closed: {codes}, "
            f"{verdict.early} of them early{broken}",
            f"{len(seen.failures)} failed{failed} of {len(seen.sent):,} requests beside; {len(spans)} reloads; closed "
            f"{_range(verdict.ages)} after the reload was answered",
            f"{verdict.lost:+d} lost, {verdict.codes.total() - sum(verdict.codes[code] for code in _PROPER):+d} "
            "improperly closed",
            f"0 lost before the limit, all closed with {' or '.join(map(str, _PROPER))} after it",
            not verdict.lost and not wrong and not verdict.early and proper and not refused and not seen.failures
            and len(spans) == wanted and verdict.codes.total() >= _SOCKETS,
        )
    ]  # fmt: skip


def _range(ages: list[float]) -> str:
    if not ages:
        return "never"
    return f"{min(ages):.2f} to {max(ages):.2f} s (median {median(ages):.2f} s)"


def _judge(talks: list[_Talk], replaced: dict[str, tuple[float, float]]) -> _Verdict:
    """Hold each socket against the reload that replaced its process: it drains from somewhere in it."""
    verdict = _Verdict()
    for talk in talks:
        if talk.refused:
            continue
        span = replaced.get(talk.process)
        if talk.closed is None and span is None:
            continue  # open to the end, which is the client's
        verdict.codes[talk.code] += 1
        if span is None or talk.closed is None:
            verdict.early += 1
            continue
        limit = span[0] + _DRAIN_SECONDS
        verdict.early += talk.closed < limit
        verdict.ages.append(talk.closed - span[1])
        if talk.waiting is not None and talk.waiting < limit:
            verdict.lost += 1
    return verdict


def _talk(pipe: Connection, port: int, host: str) -> None:
    os.setsid()  # a session of its own: see machine.running
    asyncio.run(_all(pipe, port, host))


async def _all(pipe: Connection, port: int, host: str) -> None:
    talks: list[_Talk] = []
    stop = asyncio.Event()
    tasks = [asyncio.create_task(_one(port, host, talks, stop)) for _ in range(_SOCKETS)]
    while sum(talk.echoed > 0 for talk in talks) < _SOCKETS:  # noqa: ASYNC110 (what is waited for is no event)
        await asyncio.sleep(0.05)
    pipe.send("open")
    deadline = perf_counter() + 2 * _LONGEST_SECONDS
    while not pipe.poll() and perf_counter() < deadline:  # noqa: ASYNC110 (another process sends)
        await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*tasks)
    pipe.send(talks)
    pipe.recv()


async def _one(port: int, host: str, talks: list[_Talk], stop: asyncio.Event) -> None:
    while not stop.is_set():
        talk = _Talk()
        talks.append(talk)
        try:
            async with connect(f"ws://{host}/echo", host="127.0.0.1", port=port, open_timeout=30, proxy=None) as socket:
                await _echo(socket, talk, stop)
        except ConnectionClosed as error:
            talk.closed = perf_counter()
            talk.code = error.rcvd.code if error.rcvd else None
        except Exception as error:
            talk.refused = f"{type(error).__name__}: {error}"
            await asyncio.sleep(0.5)


async def _echo(socket: ClientConnection, talk: _Talk, stop: asyncio.Event) -> None:
    talk.process = str(await socket.recv())
    while not stop.is_set():
        message = f"{talk.echoed} of {id(talk)}"
        talk.waiting = perf_counter()
        await socket.send(message)
        talk.wrong += await socket.recv() != message
        talk.waiting = None
        talk.echoed += 1
        with suppress(TimeoutError):  # wakes up early when the server closes
            async with asyncio.timeout(_EVERY_SECONDS):
                await socket.wait_closed()
