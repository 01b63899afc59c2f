"""Health checks of servers that mean no good: whatever one says is an answer or is told, and none is an error."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from hereabouts.core.webapp import Health
from hereabouts.supervisor import health

NO_HTTP = "gave an answer that is not HTTP"


async def ask(path: Path) -> str | None:
    return await health.check(socket.socket(socket.AF_UNIX), str(path), "alice.localhost", Health("/health"), 5)


async def check(place: Path, said: bytes) -> str | None:
    """What is found of a server that says this and no more."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, str(place / "app.sock")):
        return await health.check(
            socket.socket(socket.AF_UNIX), str(place / "app.sock"), "alice.localhost", Health("/health"), 5
        )


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


def test_nobody_listens(tmp_path: Path) -> None:
    found = asyncio.run(
        health.check(
            socket.socket(socket.AF_UNIX), str(tmp_path / "none.sock"), "alice.localhost", Health("/health"), 5
        )
    )
    assert found == "could not be asked (No such file or directory)"
