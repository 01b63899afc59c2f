"""What the processes of one run of the tests share: things that take long to make are made once."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "SHARED_BY_TESTS"

if _NAME not in os.environ:  # the first process of the run: pytest's workers inherit its environment
    os.environ[_NAME] = tempfile.mkdtemp(prefix="hereabouts-shared-")
    atexit.register(shutil.rmtree, os.environ[_NAME], ignore_errors=True)

DIRECTORY = Path(os.environ[_NAME])
"""The directory of this run; gone after it."""


@contextmanager
def made_once(place: Path) -> Iterator[bool]:
    """Whether the caller has to make ``place``; whoever comes meanwhile waits, and sees what was made.

    ``place`` must come into being at once, when all of it is there: renamed, or a stamp written last.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not place.exists()
