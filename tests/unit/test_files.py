"""Files that others read: the old one or the new one, never a part, and never left-overs."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from hereabouts import files


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_replace_makes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "note"
    files.replace(path, "old")
    files.replace(path, b"new\xff", mode=0o640)
    assert path.read_bytes() == b"new\xff"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["note"]


def test_replace_ignores_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        files.replace(tmp_path / "note", "", mode=0o644)
        files.directory(tmp_path / "place", mode=0o755)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "note").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "place").stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_replace_gives_the_file_to_its_owner(tmp_path: Path) -> None:
    files.replace(tmp_path / "note", "", owner=(700_123, 700_124))
    files.directory(tmp_path / "place", owner=(700_123, 700_124))
    for path in (tmp_path / "note", tmp_path / "place"):
        assert (path.stat().st_uid, path.stat().st_gid) == (700_123, 700_124)


def test_replace_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "treasure").write_text("kept")
    (tmp_path / "note").symlink_to("treasure")
    files.replace(tmp_path / "note", "new")
    assert (tmp_path / "treasure").read_text() == "kept"
    assert not (tmp_path / "note").is_symlink()


def test_replace_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.mkdir()
    (path / "inside").write_text("kept")
    with pytest.raises(OSError, match="directory"):
        files.replace(path, "new")
    with pytest.raises(FileNotFoundError):
        files.replace(tmp_path / "none" / "note", "new")
    assert names(tmp_path) == ["note"]


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "note"
    contents = {character * 300_000 for character in "abc"}
    files.replace(path, "a" * 300_000)
    done = threading.Event()

    def write() -> None:
        for content in sorted(contents) * 10:
            files.replace(path, content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_text() in contents
    writer.join()


def test_replace_link(tmp_path: Path) -> None:
    link = tmp_path / ("l" * 250)
    files.replace_link(link, "one:two")
    files.replace_link(link, "three")
    assert str(link.readlink()) == "three"
    assert names(tmp_path) == [link.name]


def test_replace_link_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.replace_link(tmp_path / "link", "target")
    assert names(tmp_path) == ["link"]


def test_tail(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert files.tail(path, 10) == b""
    path.write_bytes(b"0123456789")
    assert files.tail(path, 4) == b"6789"
    assert files.tail(path, 100) == b"0123456789"
    assert files.tail(path, 0) == b""
