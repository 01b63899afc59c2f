"""Asking the supervisor and the certificates process: one line there, one line back, over a unix socket of each.

The supervisor:

=========================================  ===========================================================
line                                       answer
=========================================  ===========================================================
``settle WEBSITE_ID GENERATION SECONDS``   ``done`` once that generation serves, failed to come up, or the
                                           website is off or gone; ``waiting`` when the time is up
``hold HOST SECONDS SINCE``                ``go`` once the host's website serves and it is the caller's turn, which
                                           lasts until he closes the connection (``SINCE``: when his visitor
                                           came, by which the turns go); ``down`` when it will not serve soon;
                                           ``full`` when so many are held that there is no room for more;
                                           ``nothing`` when nobody has that name. Whoever waits no longer closes
                                           the connection
``install NAME``                           ``done`` once the certificate that was offered for the name is the one
                                           that visitors see; ``refused REASON``
``withdraw NAME``                          ``done`` once the name's certificate, not the local authority's, is gone
``home NAME UID``                          ``done`` once the new account has its home on disk
``status``                                 one line of JSON: the sandboxes with process id, memory, phase
``steps WEBSITE_ID``                       one line of JSON: ``{"generation", "steps", "problem"}`` of the latest
                                           start, each step ``{"name", "at", "seconds", "status"}``, the status
                                           being ``running``, ``done`` or ``failed``, the latter for ``problem``
``log WEBSITE_ID KIND OFFSET BYTES``       one line of JSON, a piece of the ``access``, ``error`` or ``server`` log:
                                           ``{"text", "offset", "next", "size", "rotated", "skipped"}``; a negative
                                           offset counts from the end, to the beginning of a line
``follow WEBSITE_ID KIND OFFSET``          such a piece at once, then one whenever something was written, until the
                                           caller closes the connection or the website is deleted
``health``                                 one line of JSON: ``{"processes", "disk", "versions", "errors"}`` of the
                                           platform itself
``certificates``                           one line of JSON: ``{"certificates"}``, those that are files and have no row
                                           in the database
=========================================  ===========================================================

All but ``settle``, ``hold`` and ``status`` are for root and control's user alone.

The certificates process, whose answers are each one line of JSON:

=========================================  ===========================================================
line                                       answer
=========================================  ===========================================================
``issue NAME SECONDS``                     ``{"status": "done"}`` once visitors see the authority's certificate;
                                           ``{"status": "failed", "kind", "problem", "retry_at"}``, the kind being
                                           ``dns``, ``authority``, ``limit``, ``unreachable`` or ``platform``;
                                           ``{"status": "waiting"}`` when the time is up, or the authority takes
                                           more of it than an order waits for
``look NAME``                              ``{"detail"}``: what is wrong with a custom domain's DNS as it is now, what
                                           is expected and which record to create; null when it leads here
``proof NAME VALUE``                       ``{"proved", "found"}``: whether the TXT record
                                           ``_hereabouts-challenge.NAME`` holds the value; what it holds
``status``                                 ``{"orders"}``: the names whose orders are under way
=========================================  ===========================================================
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from hereabouts.errors import PlatformNotRunning

_LONGEST_LINE = 1 << 20
"""Bytes of one answer of those that follow each other."""


def ask(path: Path, line: str, *, seconds: float) -> str:
    """Send one line to a process and return its answer, waiting ``seconds`` at the longest.

    Raises PlatformNotRunning when nobody answers.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(line.encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = answers.readline()
    except OSError as error:
        raise PlatformNotRunning(path=path) from error
    if not answer.endswith(b"\n"):
        raise PlatformNotRunning(path=path)
    return answer.decode().rstrip("\n")


def settle(path: Path, website_id: int, generation: int, seconds: float) -> bool:
    """Poke the supervisor and wait until the generation serves or failed; False when time ran out."""
    line = f"settle {website_id} {generation} {seconds:g}"
    return ask(path, line, seconds=seconds + 5) == "done"


def inquire(path: Path, line: str, *, seconds: float) -> dict[str, Any]:
    """Ask what is answered by JSON, as the certificates process answers everything.

    Raises PlatformNotRunning when nobody answers in time, or not in this way.
    """
    answer = ask(path, line, seconds=seconds)
    try:
        found = json.loads(answer)
    except ValueError as error:
        raise PlatformNotRunning(path=path) from error
    if not isinstance(found, dict):
        raise PlatformNotRunning(path=path)
    return found


async def follow(path: Path, line: str) -> AsyncGenerator[dict[str, Any], None]:
    """Send one line and yield each line of JSON that comes, until there is no more.

    Raises PlatformNotRunning when nobody answers.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=_LONGEST_LINE)
    except OSError as error:
        raise PlatformNotRunning(path=path) from error
    try:
        writer.write(line.encode() + b"\n")
        while (answer := await reader.readline()).endswith(b"\n"):
            yield json.loads(answer)
    except (OSError, ValueError) as error:
        raise PlatformNotRunning(path=path) from error
    finally:
        writer.close()
