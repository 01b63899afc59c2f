"""``hereabouts logs``: what a website wrote, and who visited it."""

from __future__ import annotations

import codecs
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hereabouts import files
from hereabouts.cli import support
from hereabouts.core.webapp import log_name

_SHOWN_BYTES = 65_536
_GLANCE_SECONDS = 0.2


def logs(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="The website.")],
    access: Annotated[bool, typer.Option("--access", help="The access log.")] = False,
    error: Annotated[bool, typer.Option("--error", help="The error log (the default).")] = False,
    server: Annotated[bool, typer.Option("--server", help="The server log.")] = False,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written from now on.")] = False,
) -> None:
    """Print the end of a website's log."""
    support.need_root("logs")
    settings = support.settings()
    if access + error + server > 1:
        raise typer.BadParameter("Choose one of --access, --error and --server.")
    support.database(settings)
    from hereabouts.control import services

    website = services.find_website(None, domain).value()
    kind = "access" if access else "server" if server else "error"
    log = settings.logs / website.account.name / f"{log_name(website.domain, website.id)}.{kind}.log"
    end = files.tail(log, _SHOWN_BYTES)
    write = _writer()
    write(end if len(end) < _SHOWN_BYTES else end.partition(b"\n")[2])
    if follow:
        try:
            _follow(log, write)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _writer() -> Callable[[bytes], None]:
    """What prints pieces of a log: as they are where that is piped; a terminal is not a website's to steer."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace") if sys.stdout.isatty() else None

    def write(data: bytes) -> None:
        if decoder is not None:
            data = support.printable(decoder.decode(data), keep="\n\t").encode()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    return write


def _follow(log: Path, write: Callable[[bytes], None]) -> None:
    """Print what is appended, also after the file is rotated away or emptied."""
    file = None
    try:
        file = log.open("rb")
        file.seek(0, 2)
    except FileNotFoundError:
        pass
    while True:
        if file and (data := file.read(_SHOWN_BYTES)):
            write(data)
            continue
        try:
            found = log.stat()
        except FileNotFoundError:
            found = None
        if found and (file is None or not _same(log, file.fileno())):
            if file:
                write(file.read())
                file.close()
            file = log.open("rb")
        elif found and file and found.st_size < file.tell():
            file.seek(0)
        else:
            time.sleep(_GLANCE_SECONDS)


def _same(log: Path, descriptor: int) -> bool:
    opened, named = os.fstat(descriptor), log.stat()
    return (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)
