"""A health check: one HTTP request over the server's own socket."""

from __future__ import annotations

import asyncio
import re
import socket

from hereabouts.core.webapp import Health

SILENT = "gave no answer"
_NO_HTTP = "gave an answer that is not HTTP"
_STATUS_LINE = re.compile(rb"HTTP/\d\.\d (\d{3})(?: |\r?\n)")


async def check(connection: socket.socket, source: str, domain: str, health: Health, seconds: float) -> str | None:
    """None when the server at ``source`` answers as expected within ``seconds``, otherwise what it did instead.

    ``connection`` is made use of, and closed.
    """
    request = (
        f"GET {health.path} HTTP/1.1\r\nHost: {domain}\r\nX-Forwarded-Proto: https\r\n"
        "User-Agent: Hereabouts-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(seconds):
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, source)
            reader, writer = await asyncio.open_unix_connection(sock=connection)
            try:
                writer.write(request.encode())
                line = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        return SILENT
    except OSError as error:
        return f"could not be asked ({error.strerror})"
    except ValueError:  # a line without an end
        return _NO_HTTP
    finally:
        connection.close()
    found = _STATUS_LINE.match(line)
    if found is None:
        return _NO_HTTP
    status = int(found[1])
    return None if status == health.status else f"answered {status} instead of {health.status}"
