"""How long requests have waited at a server's socket, as the kernel's table of sockets tells it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
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


def test_where_one_leaves_the_others_go_on_waiting(server: Server) -> None:
    stalls = Stalls()
    accepted, first, _ = server.come(), server.come(), server.come()
    server.accept()
    server.waits(2)
    stalls.look(100)
    first.close()
    accepted.close()
    server.waits(1)
    stalls.look(105)
    assert stalls.waiting(server.path, 105) == (1, 5)
