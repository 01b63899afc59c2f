"""A private view of the file system, in which the platform's own directories can be reached by everyone.

The checkout may lie where only root can enter, such as /root. nginx's workers and control are not root, yet
they read code, certificates and sockets there. So the platform's processes get a mount namespace of their
own: each closed directory on the way is covered by an empty one that anyone may pass through, with only the
directories that are needed put back in their places. Nothing changes for the rest of the machine.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from hereabouts import files
from hereabouts.errors import MachineError

_CLONE_NEWNS = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_SLAVE = 0x2, 0x4, 0x1000, 0x4000, 0x80000
_libc = ctypes.CDLL(None, use_errno=True)


def enter(needed: Iterable[Path]) -> list[Path]:
    """Give this process and its future children a view in which ``needed`` directories can be reached by all.

    Directories that do not exist are passed over. Returns the directories that were covered, none where
    everything could be reached anyway. The needed directories' own modes stay as they are. Needs root;
    call it before any thread is started. Raises MachineError.
    """
    paths = {path for given in needed if given.is_dir() for path in (given.absolute(), given.resolve())}
    if not any(_closed_ancestor(path) for path in paths):
        return []
    _detach()
    descriptors = {path: os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in paths}
    covered: list[Path] = []
    try:
        while closed := _next_closed(paths):
            if closed in covered:
                raise MachineError(
                    problem=f"{closed} can't be opened to the platform's processes.",
                    remedy="Move the checkout or `data_dir` elsewhere, such as under /srv.",
                )
            _cover(closed, descriptors)
            covered.append(closed)
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)
    return covered


def _next_closed(paths: set[Path]) -> Path | None:
    return min(filter(None, map(_closed_ancestor, paths)), key=lambda path: len(path.parts), default=None)


def _closed_ancestor(path: Path) -> Path | None:
    """The topmost directory above ``path`` that others can't pass through, its links resolved."""
    for ancestor in reversed(path.parents):
        if not ancestor.stat().st_mode & stat.S_IXOTH:
            return ancestor.resolve()
    return None


def _detach() -> None:
    if _libc.unshare(_CLONE_NEWNS) != 0:
        raise MachineError(
            problem=f"No private view of the file system can be made: {os.strerror(ctypes.get_errno())}.",
            remedy="Run as root with the right to mount, or move the checkout where everyone can enter it.",
        )
    _mount("none", Path("/"), None, _MS_REC | _MS_SLAVE)


def _cover(closed: Path, descriptors: dict[Path, int]) -> None:
    """Put an empty directory over ``closed`` and bind what is needed below it back in place."""
    places = {closed / inner: fd for path, fd in descriptors.items() if (inner := _below(path, closed))}
    _mount("tmpfs", closed, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
    for place in sorted(places, key=lambda path: len(path.parts)):
        _make_way(closed, place)
        _mount(f"/proc/self/fd/{places[place]}", place, None, _MS_BIND | _MS_REC)


def _below(path: Path, closed: Path) -> Path | None:
    """The part of ``path`` below ``closed``, through whatever links lead there."""
    for ancestor in path.parents:
        if ancestor.resolve() == closed:
            return path.relative_to(ancestor)
    return None


def _make_way(closed: Path, place: Path) -> None:
    for directory in (*reversed(place.parents), place):
        if directory.is_relative_to(closed) and not directory.exists():
            files.directory(directory)


def _mount(source: str, target: Path, kind: str | None, flags: int, options: str = "") -> None:
    done = _libc.mount(
        source.encode(), os.fsencode(target), kind.encode() if kind else None, flags, options.encode() or None
    )
    if done != 0:
        raise MachineError(
            problem=f"{target} can't be made reachable: {os.strerror(ctypes.get_errno())}.",
            remedy="Run as root with the right to mount, or move the checkout where everyone can enter it.",
        )
