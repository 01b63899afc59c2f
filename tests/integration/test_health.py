"""Health checks of servers that mean no good: whatever one says is an answer or is told, and none is an error."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from hereabouts.core.webapp import Health
from hereabouts.supervisor import health

NO_HTTP = "gave an answer that is not HTTP"


async def ask(path: Path, status: int = 200) -> str | None:
    wanted = Health("/health", status)
    return await health.check(socket.socket(socket.AF_UNIX), str(path), "alice.localhost", wanted, 5)


async def check(place: Path, said: bytes, status: int = 200) -> str | None:
    """What is found of a server that says this and no more."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, str(place / "app.sock")):
        return await ask(place / "app.sock", status)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.0 200\r\n\r\n", None),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answered 503 instead of 200"),
        (b"", NO_HTTP),
        (b"200 200 200\r\n", NO_HTTP),
        (b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n", NO_HTTP),
        (b"HTTP/1.1 " + b"2" * 10_000 + b" OK\r\n", NO_HTTP),
        (b"HTTP/1.1 200" + b" " * 200_000, NO_HTTP),
    ],
    ids=["200", "no reason", "503", "nothing", "no protocol", "other digits", "a huge number", "no end"],
)
def test_what_a_server_says(tmp_path: Path, said: bytes, found: str | None) -> None:
    assert asyncio.run(check(tmp_path, said)) == found


@pytest.mark.parametrize(
    ("status", "said", "found"),
    [
        (204, b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (302, b"HTTP/1.1 302 Found\r\nLocation: /sign-in\r\n\r\n", None),
        (503, b"HTTP/1.1 503 Service Unavailable\r\n\r\n", None),
        (204, b"HTTP/1.1 200 OK\r\n\r\n", "answered 200 instead of 204"),
        (302, b"HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\n\r\n", "answered 301 instead of 302"),
    ],
)
def test_another_status_is_wanted(tmp_path: Path, status: int, said: bytes, found: str | None) -> None:
    """The very one; a redirection is not followed."""
    assert asyncio.run(check(tmp_path, said, status)) == found


def test_nobody_listens(tmp_path: Path) -> None:
    assert asyncio.run(ask(tmp_path / "none.sock")) == "could not be asked (No such file or directory)"
