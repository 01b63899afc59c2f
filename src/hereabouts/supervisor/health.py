"""A health check: one HTTP request over the server's own socket."""

from __future__ import annotations

import asyncio

from hereabouts.core.webapp import Health

SILENT = "gave no answer"


async def check(source: str, domain: str, health: Health, seconds: float) -> str | None:
    """None when the server answers as expected within ``seconds``, otherwise what it did instead."""
    request = (
        f"GET {health.path} HTTP/1.1\r\nHost: {domain}\r\nX-Forwarded-Proto: https\r\n"
        "User-Agent: Hereabouts-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(source)
            try:
                writer.write(request.encode())
                line = (await reader.readline()).decode("latin-1")
            finally:
                writer.close()
    except TimeoutError:
        return SILENT
    except OSError as error:
        return f"could not be asked ({error.strerror})"
    words = line.split()
    if len(words) < 2 or not words[1].isdigit():
        return "gave an answer that is not HTTP"
    return None if int(words[1]) == health.status else f"answered {words[1]} instead of {health.status}"
