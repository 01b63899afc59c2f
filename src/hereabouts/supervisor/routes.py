"""The routing table, a directory: ``routes/{hostname}`` is a symbolic link that nginx's Lua reads.

The link's text is ``{target}:{account}:{log}``, or with what holds for this name ``{target}:{account}:{log}:{policy}``.
The target is the name of a socket in ``live/``, or ``wait`` or ``disabled``; account and log say which access log the
request belongs to; the policy is made of words with commas between them:

=================  =================================================================
``https``          visitors who come over HTTP are sent to HTTPS
``hsts=SECONDS``   answers over HTTPS tell browsers to come that way for so long
``to=NAME``        visitors are sent to this name, the website's main one
=================  =================================================================
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.lifecycle import Lead
from hereabouts.core.webapp import Website, log_name

_SOCKET = "app.sock"


def lead(config: Config, website: Website, name: str, target: Lead | str) -> None:
    """Lead the visitors of one of the website's names to a published socket, or to what explains its absence."""
    if target is Lead.NOWHERE:
        forget(config, name)
        return
    link = config.routes / name
    text = f"{target.value if isinstance(target, Lead) else target}:{website.account.name}:"
    text += ":".join(filter(None, (log_name(website.domain, website.id), policy(website, name))))
    try:
        if os.readlink(link) == text:  # noqa: PTH115 (a path object costs more than the call)
            return
    except OSError:
        pass
    files.replace_link(link, text)


def forget(config: Config, name: str) -> None:
    """Lead a name nowhere."""
    (config.routes / name).unlink(missing_ok=True)


def policy(website: Website, name: str) -> str:
    """What holds for visitors of one of the website's names, as the route says it; empty where nothing does."""
    words = ["https"] if website.force_https else []
    if website.hsts_seconds:
        words.append(f"hsts={website.hsts_seconds}")
    if any(alias.redirects for alias in website.aliases if alias.name == name):
        words.append(f"to={website.domain}")
    return ",".join(words)


def read(config: Config) -> dict[str, str]:
    """The routes on disk: target by host name."""
    return {entry.name: str(entry.readlink()).split(":")[0] for entry in config.routes.iterdir() if entry.is_symlink()}


def open_socket(directory: Path, uid: int) -> int | None:
    """The server's socket as an open path, or None where there is none that may be trusted.

    The account owns the directory, so its name is never followed: what is there must be a socket of its own.
    """
    try:
        descriptor = os.open(directory / _SOCKET, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    found = os.fstat(descriptor)
    if stat.S_ISSOCK(found.st_mode) and found.st_uid == uid:
        return descriptor
    os.close(descriptor)
    return None


def publish_socket(config: Config, source: str, name: str) -> None:
    """Give the socket that ``source`` (``/proc/self/fd/N``) holds open a name in ``live/`` for nginx."""
    Path(source).chmod(0o666)  # live/ itself is closed to everyone but nginx
    target = config.live / f"{name}.sock"
    target.unlink(missing_ok=True)
    opened = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY)
    try:  # with a directory given, Python asks for linkat(2) with AT_SYMLINK_FOLLOW; without, it does not follow
        os.link(Path(source).name, target, src_dir_fd=opened, follow_symlinks=True)
    finally:
        os.close(opened)


def withdraw_socket(config: Config, name: str) -> None:
    """Remove an instance's names in ``live/``; on a disk that is read-only by now they stay, for a supervisor to come.

    Nobody is led there: an instance's name is never used again.
    """
    for path in config.live.glob(f"{name}*.sock"):
        with suppress(OSError):
            path.unlink()


def bound_name(connection: socket.socket) -> str | None:
    """The name that the other end was bound under, which it keeps when its file is renamed (unix(7)).

    None where it can't be told, or is not printable: such names would forge rows of the machine's table of sockets, in
    which connections are told apart by them.
    """
    try:
        name = connection.getpeername()
    except OSError:
        return None
    return name if isinstance(name, str) and name.isprintable() else None


def connects(connection: socket.socket, path: str) -> bool:
    """Whether somebody listens at ``path``; a server whose queue is full listens, too. Does not wait."""
    connection.setblocking(False)
    try:
        connection.connect(path)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
