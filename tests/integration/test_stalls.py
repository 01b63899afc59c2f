"""How long requests have waited at a server's socket, as the kernel's table of sockets tells it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from hereabouts.supervisor import procfs
from hereabouts.supervisor.stall import Stalls
from tests.platform import wait_for


class Server:
    """A socket with its visitors, who connect and wait."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path, self._stack = str(path), stack
        self.listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.listener.bind(self.path)
        self.listener.listen()

    def come(self) -> socket.socket:
        visitor = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        visitor.connect(self.path)
        return visitor

    def accept(self) -> socket.socket:
        return self._stack.enter_context(self.listener.accept()[0])

    def waits(self, count: int) -> None:
        """Until the table, which is read anew every now and then, shows that so many wait."""
        wait_for(lambda: getattr(procfs.queues().get(self.path), "waiting", 0) == count)


@pytest.fixture
def server(short_path: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        yield Server(short_path / "app.sock", stack)


def test_those_who_wait_are_counted_from_the_first_look_on(server: Server) -> None:
    stalls = Stalls()
    stalls.look(100)
    assert stalls.waiting(server.path, 100) == (0, 0)
    server.come()
    server.waits(1)
    stalls.look(101)
    server.come()
    server.waits(2)
    stalls.look(109)
    assert stalls.waiting(server.path, 110) == (2, 9)


def test_where_one_was_accepted_nobody_has_waited_before(server: Server) -> None:
    """Whatever the kernel calls them: connections are accepted in their order."""
    stalls = Stalls()
    for now in range(100, 120, 2):
        server.come()
        server.waits(1)
        stalls.look(now)
        assert stalls.waiting(server.path, now) == (1, 0)
        server.accept()
        server.waits(0)


def test_of_a_server_that_closes_each_connection_some_glances_see_one(server: Server) -> None:
    """Though those who wait at each look are others, with the names that the kernel gave to the ones before."""
    stalls, done = Stalls(), threading.Event()

    def serve() -> None:
        while not done.is_set():
            server.come()
            server.come()
            with server.listener.accept()[0]:
                time.sleep(0.005)
            with server.listener.accept()[0]:
                server.come()
                time.sleep(0.005)
                server.listener.accept()[0].close()

    server.come()
    server.waits(1)
    stalls.look(100)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(serve)
        try:
            assert asyncio.run(stalls.moves(server.path))
        finally:
            done.set()
    server.come()
    wait_for(lambda: server.path in procfs.queues())
    stalls.look(200)
    assert stalls.waiting(server.path, 201)[1] == 1


def test_where_nobody_is_accepted_no_glance_sees_one(server: Server) -> None:
    stalls = Stalls()
    server.come()
    server.waits(1)
    stalls.look(100)
    assert not asyncio.run(stalls.moves(server.path))


def test_where_one_that_was_accepted_ends_the_others_go_on_waiting(server: Server) -> None:
    stalls = Stalls()
    visitor, accepted = server.come(), server.accept()
    server.come()
    server.waits(1)
    stalls.look(100)
    visitor.close()
    accepted.close()
    server.come()
    server.waits(2)
    stalls.look(105)
    assert stalls.waiting(server.path, 105) == (2, 5)
