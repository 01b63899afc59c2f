"""Files that other processes read: replaced atomically, opened without following a stranger's link."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def replace(
    path: Path, content: str | bytes, *, mode: int = 0o644, owner: tuple[int, int] | None = None, durable: bool = True
) -> None:
    """Put ``content`` at ``path`` so that a reader sees the old file or the new one, never a part.

    ``owner`` is (uid, gid); the mode and the owner are set before the file gets its name. What means nothing after the
    machine's next start need not be ``durable``: then nobody waits for the disk.
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
            if durable:
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
        with os.fdopen(open_at_once(path, os.O_RDONLY), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            return file.read(limit)
    except FileNotFoundError:
        return b""


def open_at_once(path: Path, flags: int, mode: int = 0o644) -> int:
    """Open a file that may be a stranger's: no link is followed, and nothing is waited for.

    The owner of a file may hold a lease on it (F_SETLEASE in fcntl(2)), for the end of which others would wait for 45
    seconds. Raises BlockingIOError instead; the lease ends then, too.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    os.set_blocking(descriptor, True)
    return descriptor


def remove_tree(path: Path) -> None:
    """Remove a directory that may be a stranger's with all that is below, however deep; what can't be removed stays."""
    try:
        shutil.rmtree(path, ignore_errors=True)
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", path], check=False, stderr=subprocess.DEVNULL)
