"""Preparing the database: making it, upgrading it, and leaving alone what can't be."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from hereabouts import config as configuration
from hereabouts.config import Config
from hereabouts.daemons.environ import environment
from tests.platform import wait_for


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


def older(config: Config) -> None:
    """A database as the version before the latest two migrations left it, with an account in it."""
    prepare(config)
    argv = [sys.executable, "-m", "django", "migrate", "--verbosity=0", "control", "0003"]
    subprocess.run(argv, env=environment(config), check=True, timeout=60)
    names = [column[1] for column in ask(config, "PRAGMA table_info(control_account)") if column[3]]
    values = {"username": "'old'", "uid": "700001"}
    columns = ", ".join(f'"{name}"' for name in names)
    ask(config, f"INSERT INTO control_account ({columns}) VALUES ({', '.join(values.get(n, '1') for n in names)})")


def content(config: Config) -> list[object]:
    """All tables, what was applied, and the accounts."""
    questions = (
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name",
        "SELECT app, name FROM django_migrations ORDER BY id",
        "SELECT * FROM control_account",
    )
    return [ask(config, question) for question in questions]


def test_an_upgrade_that_fails_at_its_last_step_leaves_all_as_it_was(place: Config) -> None:
    older(place)
    ask(place, "CREATE TABLE control_auditentry (id integer)")  # the latest migration would make it
    before = content(place)
    with closing(sqlite3.connect(place.sqlite_file)) as reader:  # somebody still has it open
        reader.execute("SELECT * FROM control_account").fetchall()
        code, message = prepare(place)
        assert code == 1
        assert 'the upgrade failed: table "control_auditentry" already exists. It was left as it was before.' in message
        assert len(reader.execute("SELECT username FROM control_account").fetchall()) == 1
    assert content(place) == before
    ask(place, "DROP TABLE control_auditentry")
    assert prepare(place) == (0, "")
    assert ask(place, "SELECT username FROM control_account") == [("old",)]


def test_an_upgrade_that_is_killed_leaves_all_as_it_was(place: Config) -> None:
    """It is killed when all is changed but the note that it is done: that never comes to an end here."""
    older(place)
    before = content(place)
    ask(place, "CREATE VIEW endless AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n")
    ask(
        place,
        "CREATE TRIGGER stuck AFTER INSERT ON django_migrations WHEN new.name LIKE '0005%' "
        "BEGIN DELETE FROM django_migrations WHERE id = (SELECT count(*) FROM endless); END",
    )
    argv = [sys.executable, "-m", "hereabouts.daemons", "prepare"]
    with subprocess.Popen(argv, env=environment(place)) as upgrade:
        wait_for(lambda: _is_locked(place), 60, "it changes the database")
        worked = psutil.Process(upgrade.pid)
        begin = worked.cpu_times().user
        wait_for(lambda: worked.cpu_times().user > begin + 2, 60, "it is stuck in its last step")
        upgrade.kill()
    ask(place, "DROP TRIGGER stuck")
    ask(place, "DROP VIEW endless")
    assert content(place) == before
    assert prepare(place) == (0, "")
    assert ask(place, "SELECT username FROM control_account") == [("old",)]


def _is_locked(config: Config) -> bool:
    with closing(sqlite3.connect(config.sqlite_file, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


@pytest.mark.parametrize("left", [None, b""])
def test_a_lost_database_is_not_made_anew(place: Config, left: bytes | None) -> None:
    """Websites that run would be ended, and their logs removed, since nobody wants them."""
    prepare(place)
    (place.homes / "alice").mkdir(parents=True)
    for file in place.sqlite_file.parent.glob(f"{place.sqlite_file.stem}*"):
        file.unlink()
    if left is not None:
        place.sqlite_file.write_bytes(left)
    code, message = prepare(place)
    assert code == 1
    assert f"The database {place.sqlite_file} is missing or empty, but {place.homes} is not" in message
    assert "Restore the database from a backup" in message
    assert place.sqlite_file.exists() is (left is not None)
    (place.homes / "alice").rmdir()
    assert prepare(place) == (0, "")


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
