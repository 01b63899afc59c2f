"""A website's three logs: opened for its processes, kept to a size, removed with it."""

from __future__ import annotations

import codecs
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.webapp import Website, log_name

KINDS = ("access", "error", "server")
_LOG = re.compile(rf".+\.({'|'.join(KINDS)})\.log(\.1)?")


def path(config: Config, website: Website, kind: str) -> Path:
    """Where a log is on this machine; in the website's sandbox it is ``/var/log/{domain}.{kind}.log``."""
    return config.logs / website.account.name / f"{log_name(website.domain, website.id)}.{kind}.log"


def open_for_writing(config: Config, website: Website, kind: str) -> IO[bytes]:
    """The log as a process's output: always appended to, whoever else writes or truncates."""
    descriptor = files.open_at_once(path(config, website, kind), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.fchown(descriptor, website.account.uid, website.account.uid)  # so that /dev/stdout can be opened
    return os.fdopen(descriptor, "wb", buffering=0)


def size(config: Config, website: Website, kind: str) -> int:
    """The log's size in bytes, 0 where there is none."""
    try:
        return path(config, website, kind).stat().st_size
    except OSError:
        return 0


def last_visit(config: Config, website: Website) -> float:
    """When somebody last visited, in seconds since the epoch; 0 for never."""
    try:
        return path(config, website, "access").stat().st_mtime
    except OSError:
        return 0.0


def since(config: Config, website: Website, kind: str, offset: int, limit: int = 16_384) -> str:
    """What was written after ``offset``, its last ``limit`` bytes; all of it once the log was rotated."""
    written = size(config, website, kind) - offset
    wanted = min(limit, written) if written >= 0 else limit
    return files.tail(path(config, website, kind), wanted).decode(errors="replace") if wanted else ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a log: its text, the bytes where it begins and where the next one does, and the log's size now.

    ``rotated``: the log is shorter than the offset that was asked for, so it was begun anew. ``skipped`` counts the
    bytes that were left out before this piece.
    """

    text: str
    offset: int
    next: int
    size: int
    rotated: bool = False
    skipped: int = 0


def read(config: Config, website: Website, kind: str, offset: int, limit: int) -> Piece:
    """At most ``limit`` bytes from ``offset`` on, no character cut in two; bytes that are none read as U+FFFD.

    A negative offset counts from the end and moves on to the beginning of a line. A rotated log is read from its start.
    """
    try:
        descriptor = files.open_at_once(path(config, website, kind), os.O_RDONLY)
    except OSError:
        return Piece("", 0, 0, 0, rotated=offset > 0)
    try:
        size = os.fstat(descriptor).st_size
        rotated = offset > size
        begin = 0 if rotated else offset if offset >= 0 else max(0, size + offset)
        if offset < 0 < begin:
            head, found, data = os.pread(descriptor, limit + 1, begin - 1).partition(b"\n")
            begin, data = (begin + len(head), data) if found else (begin, head[1:])
        else:
            data = os.pread(descriptor, limit, begin)
    finally:
        os.close(descriptor)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    return Piece(text, begin, begin + len(data) - len(decoder.getstate()[0]), size, rotated)


def note(config: Config, website: Website, sentence: str) -> None:
    """Write a line of the platform's own into the error log. A full disk is passed over."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    try:
        with open_for_writing(config, website, "error") as log:
            log.write(f"[hereabouts] {moment} {sentence}\n".encode())
    except OSError:
        return


def rotate(config: Config, website: Website) -> None:
    """Keep each log to ``log_mb``: what is beyond goes to ``.1``, which holds the latest ``log_mb`` before."""
    stem = str(path(config, website, KINDS[0])).removesuffix(f"{KINDS[0]}.log")
    for kind in KINDS:
        _rotate(f"{stem}{kind}.log", config.log_mb << 20)


def rotate_platform(config: Config) -> None:
    """The same for the logs of the platform's own processes."""
    with os.scandir(config.logs / "platform") as found:
        for entry in found:
            if entry.name.endswith(".log"):
                _rotate(entry.path, config.log_mb << 20)


def _rotate(place: str, limit: int) -> None:
    """``place`` is no path object: every second, for every website that runs, that would cost more than the call."""
    try:
        if os.stat(place).st_size <= limit:  # noqa: PTH116
            return
    except OSError:
        return
    before = Path(f"{place}.1")
    with os.fdopen(files.open_at_once(Path(place), os.O_RDWR), "r+b", buffering=0) as log:
        try:
            _set_aside(log, before, limit)
        except OSError:  # no room for the old part: the log must not grow for that
            before.unlink(missing_ok=True)
        log.truncate(0)


def _set_aside(log: IO[bytes], before: Path, limit: int) -> None:
    """Make ``before`` of the log's last ``limit`` bytes, an eighth of them for what is written while it is copied."""
    meanwhile = limit // 8
    log.seek(meanwhile - limit, os.SEEK_END)
    files.replace(before, log.read(limit - meanwhile))
    with before.open("ab") as rest:
        rest.write(log.read(meanwhile))


def remove(config: Config, website: Website) -> None:
    """Remove a deleted website's logs."""
    for kind in KINDS:
        log = path(config, website, kind)
        log.unlink(missing_ok=True)
        log.with_name(f"{log.name}.1").unlink(missing_ok=True)


def sweep(config: Config, websites: Iterable[Website]) -> None:
    """Remove the logs of websites that are none of these. What is no website's log stays."""
    kept = {path(config, website, kind) for website in websites for kind in KINDS}
    for log in config.logs.glob("*/*.log*"):
        if _LOG.fullmatch(log.name) and log.with_name(log.name.removesuffix(".1")) not in kept:
            log.unlink(missing_ok=True)


def rename(config: Config, old: Website, new: Website) -> None:
    """Call the logs by the website's new main name. What has them open goes on writing into them."""
    for kind in KINDS:
        log, target = path(config, old, kind), path(config, new, kind)
        for suffix in ("", ".1"):
            with suppress(FileNotFoundError):
                log.with_name(log.name + suffix).rename(target.with_name(target.name + suffix))
