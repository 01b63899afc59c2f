"""What counts as "visitors are not shown this certificate": a refusal of the name, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509

from hereabouts import config as configuration
from hereabouts.certificates.shown import NotAnswering, shown

NAME = "www.example.org"
Answer = Callable[[asyncio.StreamWriter], None]


def alert(number: int) -> Answer:
    """A fatal alert of TLS, by its number (RFC 8446, 6)."""
    return lambda writer: writer.write(bytes([21, 3, 3, 0, 2, 2, number]))


def nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def end(writer: asyncio.StreamWriter) -> None:
    """The connection is closed without a word."""


def reset(writer: asyncio.StreamWriter) -> None:
    """As the kernel does for a process that was killed."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def look(answer: Answer) -> x509.Certificate | None:
    """What a visitor sees whose greeting is answered like this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        answer(writer)
        writer.close()

    async def run() -> x509.Certificate | None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        config = replace(configuration.load({}), listen=("127.0.0.1",), https_port=port)
        async with server:
            return await shown(config, NAME)

    return asyncio.run(run())


@pytest.mark.parametrize("number", [40, 112], ids=["handshake_failure", "unrecognized_name"])
def test_an_alert_that_refuses_the_name_is_a_refusal(number: int) -> None:
    assert look(alert(number)) is None


@pytest.mark.parametrize("answer", [end, reset, nonsense, alert(80), alert(22)])
def test_trouble_of_another_kind_tells_nothing_of_the_certificate(answer: Answer) -> None:
    with pytest.raises(NotAnswering):
        look(answer)
