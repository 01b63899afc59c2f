"""Preparing the database: making it, upgrading it, and leaving alone what can't be."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hereabouts import config as configuration
from hereabouts.config import Config
from hereabouts.daemons.environ import environment


@pytest.fixture
def place(tmp_path: Path) -> Config:
    return configuration.load({"HEREABOUTS_DATA_DIR": str(tmp_path / "data")}, tmp_path)


def prepare(config: Config) -> tuple[int, str]:
    """Prepare the database in a process of its own, as `up` does: its exit code and message."""
    argv = [sys.executable, "-m", "hereabouts.daemons", "prepare"]
    done = subprocess.run(argv, env=environment(config), capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr.strip()


def ask(config: Config, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(config.sqlite_file)) as connection, connection:
        return connection.execute(sql).fetchall()


def tables(config: Config) -> set[object]:
    return {name for (name,) in ask(config, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_new_database(place: Config) -> None:
    assert prepare(place) == (0, "")
    assert {"control_account", "control_website", "control_domain", "control_observation"} <= tables(place)
    assert ask(place, "PRAGMA journal_mode") == [("wal",)]
    directory = place.sqlite_file.parent
    uid = place.control_uid if os.geteuid() == 0 else os.geteuid()
    assert (stat.S_IMODE(directory.stat().st_mode), directory.stat().st_uid) == (0o700, uid)
    for file in directory.iterdir():
        assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (uid, 0o600), file
    assert len(place.secret_file.read_text()) >= 64


def test_again_nothing_is_redone(place: Config) -> None:
    prepare(place)
    secret, before = place.secret_file.read_text(), ask(place, "SELECT * FROM django_migrations")
    assert prepare(place) == (0, "")
    assert (place.secret_file.read_text(), ask(place, "SELECT * FROM django_migrations")) == (secret, before)


def test_a_newer_database_is_left_alone(place: Config) -> None:
    prepare(place)
    ask(place, "INSERT INTO django_migrations (app, name, applied) VALUES ('control', '9999_future', '2030-01-01')")
    ask(place, "DELETE FROM django_migrations WHERE app = 'auth'")
    before = ask(place, "SELECT * FROM django_migrations")
    code, message = prepare(place)
    assert code == 1
    assert "was written by a newer version of Hereabouts (it has 9999_future). Nothing was changed." in message
    assert ask(place, "SELECT * FROM django_migrations") == before


def test_an_upgrade_that_fails_leaves_all_as_it_was(place: Config) -> None:
    prepare(place)
    ask(place, "DELETE FROM django_migrations WHERE app = 'control'")  # its tables can't be made twice
    ask(place, "DELETE FROM django_migrations WHERE app = 'contenttypes'")
    before = "\n".join(line for (line,) in ask(place, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
    applied = ask(place, "SELECT app, name FROM django_migrations")
    with closing(sqlite3.connect(place.sqlite_file)) as reader:  # somebody still has it open
        reader.execute("SELECT * FROM control_account").fetchall()
        code, message = prepare(place)
        assert code == 1
        assert "the upgrade failed: " in message
        assert "It was left as it was before." in message
        assert reader.execute("SELECT app, name FROM django_migrations").fetchall() == applied
    after = "\n".join(line for (line,) in ask(place, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
    assert (after, ask(place, "SELECT app, name FROM django_migrations")) == (before, applied)


def test_what_is_no_database(place: Config) -> None:
    place.sqlite_file.parent.mkdir(parents=True)
    place.sqlite_file.write_text("nonsense " * 1000)
    code, message = prepare(place)
    assert code == 1
    assert "can't be used: file is not a database" in message
    assert place.sqlite_file.read_text() == "nonsense " * 1000


def test_the_models_are_what_the_migrations_make(place: Config) -> None:
    prepare(place)
    argv = [sys.executable, "-m", "django", "makemigrations", "--check", "--dry-run"]
    done = subprocess.run(argv, env=environment(place), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_a_missing_secret_is_said(place: Config) -> None:
    argv = [sys.executable, "-m", "hereabouts.daemons", "accounts"]
    done = subprocess.run(argv, env=environment(place), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"secret {place.secret_file} can't be read" in done.stderr
    assert "Run `hereabouts up` once as root" in done.stderr
