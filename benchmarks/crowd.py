"""Visitors in a process of their own: what each sent, when, and how long it waited for the answer."""

from __future__ import annotations

import gc
import multiprocessing
import os
import select
import socket
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import perf_counter, sleep
from typing import Any

_LONGEST_SECONDS = 900.0
_WAIT_SECONDS = 35.0
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the run, on ``perf_counter``'s clock, which processes share."""

    start: float
    end: float


@dataclass(slots=True)
class Seen:
    """Every request: when it was sent and when it was answered; and what went wrong, with the moment."""

    sent: array[float] = field(default_factory=lambda: array("d"))
    answered: array[float] = field(default_factory=lambda: array("d"))
    failures: list[tuple[float, str]] = field(default_factory=list)

    def waits(self, spans: list[Span], *, touching: bool) -> list[float]:
        """The waits, in seconds, of the requests that touch one of the spans, or else lie inside of one."""
        found: list[float] = []
        for sent, answered in zip(self.sent, self.answered, strict=True):
            for span in spans:
                inside = span.start <= sent and answered <= span.end
                if inside or (touching and sent < span.end and answered > span.start):
                    found.append(answered - sent)
        return found


class Crowd:
    """Keep-alive clients that are at it until ``stop``."""

    def __init__(self, pipe: Connection, count: Any) -> None:
        self._pipe, self._count = pipe, count

    @property
    def requests(self) -> int:
        """How many requests have been answered so far."""
        return int(self._count.value)

    def stop(self) -> Seen:
        """Let every client have its last answer; what they saw."""
        self._pipe.send("stop")
        if not self._pipe.poll(_WAIT_SECONDS + 10):
            raise RuntimeError("the visitors' process does not answer")
        found: Seen = self._pipe.recv()
        return found


@contextmanager
def crowd(port: int, host: str, *, clients: int) -> Iterator[Crowd]:
    """So many clients, half of their requests POSTs with 4 kB, that each send when they were answered."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    count = context.Value("q", 0, lock=False)
    process = context.Process(target=_visit, args=(theirs, count, port, host, clients), daemon=True)
    process.start()
    try:
        deadline = perf_counter() + 30
        while count.value < 10 * clients:  # the first connections' rush is over
            if not process.is_alive() or perf_counter() > deadline:
                raise RuntimeError("the visitors got no answers")
            sleep(0.05)
        yield Crowd(ours, count)
    finally:
        process.kill()
        process.join(10)


def _visit(pipe: Connection, count: Any, port: int, host: str, clients: int) -> None:
    os.setsid()  # a session of its own: see machine.running
    gc.disable()
    seen = Seen()
    get = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    post = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4096\r\n\r\n".encode() + b"x" * 4096
    everybody = [_Client(port, (get, post)) for _ in range(clients)]
    deadline = perf_counter() + _LONGEST_SECONDS
    with select.epoll() as ready:
        by_number: dict[int, _Client] = {}
        for client in everybody:
            client.send(ready, by_number, seen)
        last, turn = perf_counter(), 0
        while perf_counter() < deadline and not (turn % 64 == 0 and pipe.poll()):
            turn += 1
            for number, _ in ready.poll(0.5):
                client = by_number[number]
                if client.receive(seen):
                    client.send(ready, by_number, seen)
            count.value = len(seen.sent)
            if perf_counter() > last + 1:
                last = perf_counter()
                for client in everybody:
                    if client.sent < last - _WAIT_SECONDS:
                        client.fail(seen, "no answer in time")
                        client.send(ready, by_number, seen)
    now = perf_counter()
    for client in everybody:  # what is on its way now counts, too
        client.finish(seen, now + _WAIT_SECONDS)
    pipe.send(seen)
    pipe.recv()


class _Client:
    """One keep-alive connection. A request that failed is not repeated."""

    def __init__(self, port: int, requests: tuple[bytes, bytes]) -> None:
        self._port, self._requests, self._turn = port, requests, 0
        self._socket: socket.socket | None = None
        self._part = b""
        self.sent = 0.0

    def send(self, ready: select.epoll, by_number: dict[int, _Client], seen: Seen) -> None:
        """The next request, on a new connection where the last one is closed."""
        self._part = b""
        self._turn += 1
        self.sent = perf_counter()
        for _ in range(100):
            try:
                if self._socket is None:
                    self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_WAIT_SECONDS)
                    self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    by_number[self._socket.fileno()] = self
                    ready.register(self._socket.fileno(), select.EPOLLIN)
                self._socket.sendall(self._requests[self._turn % 2])
                return
            except OSError as error:
                self.fail(seen, f"not sent: {error}")
                sleep(0.1)
        raise RuntimeError("nobody listens")

    def receive(self, seen: Seen) -> bool:
        """Take what came; whether the request is over, well or not."""
        assert self._socket is not None
        try:
            received = self._socket.recv(_CHUNK)
        except OSError as error:
            self.fail(seen, f"{error}")
            return True
        self._part += received
        head, found, body = self._part.partition(b"\r\n\r\n")
        if not found:
            if not received:
                self.fail(seen, f"closed after {self._part!r}")
            return not received
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not length and received:
            return False
        if length and len(body) < int(length) and received:
            return False
        if not head.startswith(b"HTTP/1.1 200 ") or not length or len(body) != int(length):
            self.fail(seen, f"{self._part[:300]!r}")
            return True
        seen.sent.append(self.sent)
        seen.answered.append(perf_counter())
        if b"connection: close" in head.lower():
            self.close()
        return True

    def finish(self, seen: Seen, deadline: float) -> None:
        """Wait for the last answer."""
        if self._socket is None:
            return
        try:
            while perf_counter() < deadline:
                if self.receive(seen):
                    break
        finally:
            self.close()

    def fail(self, seen: Seen, why: str) -> None:
        """Note a failure; the next request has a new connection."""
        seen.failures.append((perf_counter(), why))
        self.close()

    def close(self) -> None:
        """End the connection, which leaves epoll with it."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None
