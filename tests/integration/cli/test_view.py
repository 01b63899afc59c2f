"""The private view: what lies under a directory that only root enters can be reached by others in it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount namespace")

_NOBODY = 65534
_ENTER = """
import subprocess, sys
from pathlib import Path
from hereabouts.daemons import view
*needed, wanted = map(Path, sys.argv[1:])
print(*view.enter(needed), flush=True)
sys.exit(subprocess.run(["/bin/cat", wanted], user=65534, group=65534, extra_groups=[], cwd="/").returncode)
"""


def _read_in_view(needed: list[Path], wanted: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", _ENTER, *map(str, needed), str(wanted)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A directory that only root enters, in one that everyone does."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.is_relative_to(tempfile.gettempdir()) and directory != Path(tempfile.gettempdir()):
            directory.chmod(0o755)
    inner = tmp_path / "closed"
    inner.mkdir(mode=0o700)
    return inner


def _file(path: Path, text: str = "hello") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_reaches_what_is_needed(closed: Path) -> None:
    wanted = _file(closed / "data" / "file")
    done = _read_in_view([closed / "data"], wanted)
    assert done.stdout.splitlines() == [str(closed), "hello"]
    assert closed.stat().st_mode & 0o777 == 0o700


def test_hides_the_rest(closed: Path) -> None:
    _file(closed / "data" / "file")
    done = _read_in_view([closed / "data"], _file(closed / "private" / "file"))
    assert done.returncode != 0
    assert "No such file" in done.stderr


def test_leaves_an_open_path_alone(closed: Path) -> None:
    wanted = _file(closed.parent / "open" / "file")
    done = _read_in_view([wanted.parent], wanted)
    assert done.stdout.splitlines() == ["", "hello"]


def test_opens_one_closed_directory_within_another_and_a_needed_one(closed: Path) -> None:
    wanted = _file(closed / "code" / "inner" / "data" / "file")
    (closed / "code" / "inner").chmod(0o700)
    done = _read_in_view([closed / "code", wanted.parent], wanted)
    assert done.stdout.splitlines()[-1] == "hello", done.stderr


def test_goes_through_a_link(closed: Path) -> None:
    wanted = _file(closed / "data" / "file")
    link = closed.parent / "link"
    link.symlink_to(closed)
    done = _read_in_view([link / "data"], link / "data" / "file")
    assert done.stdout.splitlines()[-1] == "hello", done.stderr
    assert wanted.read_text() == "hello"


def test_what_is_written_in_the_view_is_written_for_all(closed: Path) -> None:
    data = closed / "data"
    data.mkdir()
    code = (
        "import sys; from pathlib import Path; from hereabouts.daemons import view;"
        "data = Path(sys.argv[1]); view.enter([data]); (data / 'new').write_text('x')"
    )
    subprocess.run([sys.executable, "-c", code, str(data)], check=True, timeout=60)
    assert (data / "new").read_text() == "x"
