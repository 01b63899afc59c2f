"""Files that other processes read: replaced atomically, opened without following a stranger's link."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def replace(path: Path, content: str | bytes, *, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Put ``content`` at ``path`` so that a reader sees the old file or the new one, never a part.

    ``owner`` is (uid, gid); the mode and the owner are set before the file gets its name.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if owner:
                os.fchown(file.fileno(), *owner)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_link(path: Path, target: str) -> None:
    """Point the symbolic link ``path`` at ``target`` in one step."""
    temporary = path.with_name(f".{path.name[:200]}.{os.urandom(4).hex()}")
    temporary.symlink_to(target)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def directory(path: Path, *, mode: int = 0o755, owner: tuple[int, int] | None = None) -> Path:
    """Make sure the directory exists with this mode and owner, whatever the umask is."""
    path.mkdir(parents=True, exist_ok=True)
    found = path.stat()
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)
    if owner and (found.st_uid, found.st_gid) != owner:
        os.chown(path, *owner)
    return path


@contextmanager
def lock(path: Path) -> Iterator[Callable[[], bool]]:
    """What tries to get a lock that one holder has, of all threads and processes. It never waits.

    The lock ends with the block, and the kernel frees it however its holder ends (flock(2)).
    """
    directory(path.parent, mode=0o700)
    with path.open("a") as file:

        def get() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield get


def tail(path: Path, limit: int) -> bytes:
    """The last ``limit`` bytes of a file; nothing where there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            return file.read(limit)
    except FileNotFoundError:
        return b""
