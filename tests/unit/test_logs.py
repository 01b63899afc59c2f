"""Logs read in pieces: whole characters, exact offsets, from the end, after they were begun anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hereabouts import config as configuration
from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.webapp import Account, Website
from hereabouts.supervisor import logs

SITE = Website(7, "alice.localhost", Account("alice", 700003), "command", True, 1)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    place = tmp_path_factory.mktemp("logs")
    found = configuration.load({"HEREABOUTS_DATA_DIR": str(place)}, place)
    logs.path(found, SITE, "error").parent.mkdir(parents=True)
    return found


def write(config: Config, content: bytes) -> Path:
    path = logs.path(config, SITE, "error")
    path.write_bytes(content)
    return path


def test_there_is_none(config: Config) -> None:
    assert logs.read(config, SITE, "server", 0, 100) == logs.Piece("", 0, 0, 0)
    assert logs.read(config, SITE, "server", -100, 100) == logs.Piece("", 0, 0, 0)
    assert logs.read(config, SITE, "server", 5, 100) == logs.Piece("", 0, 0, 0, rotated=True)


def test_a_piece_and_the_next(config: Config) -> None:
    write(config, b"one\ntwo\n")
    first = logs.read(config, SITE, "error", 0, 4)
    assert first == logs.Piece("one\n", 0, 4, 8)
    assert logs.read(config, SITE, "error", first.next, 100) == logs.Piece("two\n", 4, 8, 8)
    assert logs.read(config, SITE, "error", 8, 100) == logs.Piece("", 8, 8, 8)


@pytest.mark.parametrize(
    ("offset", "piece"),
    [
        (-100, logs.Piece("one\ntwo\nthree\n", 0, 14, 14)),
        (-14, logs.Piece("one\ntwo\nthree\n", 0, 14, 14)),
        (-13, logs.Piece("two\nthree\n", 4, 14, 14)),
        (-10, logs.Piece("two\nthree\n", 4, 14, 14)),
        (-9, logs.Piece("three\n", 8, 14, 14)),
        (-1, logs.Piece("", 14, 14, 14)),
    ],
)
def test_the_end_begins_with_a_line(config: Config, offset: int, piece: logs.Piece) -> None:
    write(config, b"one\ntwo\nthree\n")
    assert logs.read(config, SITE, "error", offset, 100) == piece


def test_the_end_of_one_long_line_begins_anywhere(config: Config) -> None:
    write(config, b"x" * 50)
    assert logs.read(config, SITE, "error", -20, 20) == logs.Piece("x" * 20, 30, 50, 50)


def test_a_log_that_was_begun_anew_is_read_from_its_start(config: Config) -> None:
    write(config, b"new\n")
    assert logs.read(config, SITE, "error", 1000, 100) == logs.Piece("new\n", 0, 4, 4, rotated=True)


def test_no_link_is_followed(config: Config, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    path = logs.path(config, SITE, "access")
    path.symlink_to(tmp_path / "secret")
    assert logs.read(config, SITE, "access", 0, 100).text == ""


def test_what_is_written_while_a_log_is_set_aside_is_kept(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(config, b"x" * (1 << 20) + b"\n")
    before, copy = path.with_name(f"{path.name}.1"), files.replace

    def copy_slowly(target: Path, content: bytes) -> None:
        copy(target, content)
        with path.open("a", encoding="utf-8") as log:
            log.write("meanwhile\n")

    monkeypatch.setattr(files, "replace", copy_slowly)
    logs.rotate(replace(config, log_mb=1), SITE)
    assert before.read_text().strip("x") == "\nmeanwhile\n"
    assert path.stat().st_size == 0
    before.unlink()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(4, 9))
def test_the_pieces_make_up_the_whole(config: Config, text: str, limit: int) -> None:
    content = text.encode()
    write(config, content)
    read, offset = "", 0
    while offset < len(content):
        piece = logs.read(config, SITE, "error", offset, limit)
        assert piece.offset == offset < piece.next
        read, offset = read + piece.text, piece.next
    assert read == text


def test_the_beginning_of_a_character_waits_for_its_rest(config: Config) -> None:
    path = write(config, b"a\xe2\x82")
    first = logs.read(config, SITE, "error", 0, 100)
    assert (first.text, first.next) == ("a", 1)
    path.write_bytes(b"a\xe2\x82\xac\xff")
    assert logs.read(config, SITE, "error", first.next, 100).text == "€�"
