"""The command as people run it: a process of its own, with a data directory of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

PROGRAM = Path(sys.prefix) / "bin" / "hereabouts"


class Run(Protocol):
    """Runs ``hereabouts`` with these words to its end."""

    def __call__(self, *words: str, **changes: Any) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def ports() -> list[int]:
    """Two ports that were free just now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        return [probe.getsockname()[1] for probe in probes]


@pytest.fixture
def environ(tmp_path: Path, ports: list[int]) -> Iterator[dict[str, str]]:
    """The settings of a platform of the test's own."""
    run_dir = Path("/run/hereabouts") / f"test-{os.urandom(4).hex()}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEREABOUTS_")}
    yield clean | {
        "HEREABOUTS_RUN_DIR": str(run_dir),
        "HEREABOUTS_DATA_DIR": str(tmp_path / "data"),
        "HEREABOUTS_HTTP_PORT": str(ports[0]),
        "HEREABOUTS_HTTPS_PORT": str(ports[1]),
    }
    shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture
def hereabouts(environ: dict[str, str], tmp_path: Path) -> Run:
    """Run the command; ``settings`` are further settings, ``path`` another PATH, ``uid`` another user."""

    def run(
        *words: str, settings: dict[str, str] | None = None, path: str | None = None, uid: int | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        settled = environ | {f"HEREABOUTS_{name.upper()}": value for name, value in (settings or {}).items()}
        if path is not None:
            settled["PATH"] = path
        who: dict[str, Any] = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
        return subprocess.run(
            [PROGRAM, *words], env=settled, input=stdin, capture_output=True, text=True, check=False, timeout=120,
            cwd="/" if uid else tmp_path, **who,
        )  # fmt: skip

    return run


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of one page, all of it taken."""
    place = tmp_path / "full"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", place], check=True)
    try:
        (place / "filler").write_bytes(b"\0" * 4096)
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
