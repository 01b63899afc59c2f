"""Visitors who stay: keep-alive clients timed once all of them have their place.

wrk counts the rush of the first connections with the rest, and repeats each long wait as if it had been many
(its correction for coordinated omission). Here the rush is told apart: how long until everybody had an answer.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import quantiles
from time import perf_counter

_LONGEST_RUSH_SECONDS = 30.0
_ANSWERS_EACH = 3
_STATUS = b"HTTP/1.1 200 "


@dataclass(frozen=True, slots=True)
class Visit:
    """What the visitors saw.

    ``rush``: seconds until all had an answer. Afterwards: requests a second, waits in milliseconds.
    """

    rush: float
    rate: float
    p50: float
    p99: float
    longest: float


def visit(port: int, host: str, body: bytes, *, clients: int, seconds: float) -> Visit:
    """GET / from so many clients at once; an answer that is not 200 with ``body`` is a RuntimeError."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with _connected(port, clients) as sockets, select.epoll() as ready:
        times, sent = _Times(sockets, seconds), {}
        parts = dict.fromkeys(sockets, b"")
        for number, connection in sockets.items():
            ready.register(number, select.EPOLLIN)
            sent[number] = perf_counter()
            connection.send(request)
        while not times.complete(perf_counter()):
            for number, _ in ready.poll(1.0):
                received = sockets[number].recv(65536)
                parts[number] += received
                if not received or not parts[number].startswith(_STATUS):
                    raise RuntimeError(f"port {port} answered {parts[number][:200]!r}")
                if parts[number].endswith(body):
                    now = perf_counter()
                    times.add(number, now, now - sent[number])
                    parts[number] = b""
                    sent[number] = now
                    sockets[number].send(request)
    return times.result()


class _Times:
    """Who has had an answer, and the times that count: those after everybody has had some."""

    def __init__(self, clients: Iterable[int], seconds: float) -> None:
        self._began = perf_counter()
        self._seconds = seconds
        self._missing = dict.fromkeys(clients, _ANSWERS_EACH)
        self._unanswered = set(self._missing)
        self._start = float("inf")
        self._rush = 0.0
        self._counted: list[float] = []

    def add(self, client: int, now: float, took: float) -> None:
        """A client had an answer now that it waited so many seconds for."""
        if not self._missing:
            self._counted.append(took)
            return
        if client in self._unanswered:
            self._unanswered.remove(client)
            self._rush = now - self._began
        if client in self._missing:
            self._missing[client] -= 1
            if not self._missing[client]:
                del self._missing[client]
                self._start = now

    def complete(self, now: float) -> bool:
        """Whether there is nothing more to measure."""
        if self._missing and now > self._began + _LONGEST_RUSH_SECONDS:
            raise RuntimeError(f"{len(self._missing)} clients are still without {_ANSWERS_EACH} answers")
        return not self._missing and now >= self._start + self._seconds

    def result(self) -> Visit:
        """What was seen in all."""
        parted = quantiles(self._counted, n=100)
        rate = len(self._counted) / self._seconds
        return Visit(self._rush, rate, parted[49] * 1000, parted[98] * 1000, max(self._counted) * 1000)


@contextmanager
def _connected(port: int, clients: int) -> Iterator[dict[int, socket.socket]]:
    connections = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(clients)]
    try:
        yield {connection.fileno(): connection for connection in connections}
    finally:
        for connection in connections:
            connection.close()
