"""Bringing the database to this version, or leaving it as it was."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from hereabouts import files
from hereabouts.config import Config
from hereabouts.errors import HereaboutsError

_OPEN_SECONDS = 10.0


class DatabaseNewer(HereaboutsError):
    """The database {where} was written by a newer version of Hereabouts (it has {migration}). Nothing was
    changed. Run that version again, or restore a backup made before it."""


class DatabaseBroken(HereaboutsError):
    """The database {where} can't be used: {problem}. {remedy}"""


class DatabaseLost(HereaboutsError):
    """The database {where} is missing or empty, but {homes} is not: this installation is not new. Nothing was
    started, since every website would be taken for one that nobody wants. Restore the database from a backup (or its
    disk, or the setting `database`); or, to begin anew, move what is in {homes} away first."""


def prepare(config: Config) -> None:
    """Migrate the database, all of it or nothing; an SQLite file is copied first.

    Raises DatabaseLost or DatabaseNewer before anything is touched, DatabaseBroken otherwise.
    """
    owner = (config.control_uid, config.control_uid) if os.geteuid() == 0 else None
    files.directory(config.sqlite_file.parent, mode=0o700, owner=owner)
    where = config.sqlite_file if not config.database else config.database.rpartition("@")[2]
    try:
        _refuse_if_lost(config, where)
        executor = MigrationExecutor(connection)
        unknown = set(executor.loader.applied_migrations) - set(executor.loader.disk_migrations)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseLost:
        raise
    except Exception as error:
        problem, remedy = str(error).strip(), "Check that it exists and may be written."
        raise DatabaseBroken(where=where, problem=problem, remedy=remedy) from error
    newer = sorted(name for app, name in unknown if app == "control")
    if newer:
        raise DatabaseNewer(where=where, migration=newer[-1])
    if pending:
        _migrate(config, where)
    _own(config)


def hold_open(config: Config) -> sqlite3.Connection | None:
    """A connection for a process to keep for its life; None for a database that is not SQLite's.

    The last connection to close removes SQLite's ``-wal`` and ``-shm`` files, and the next to open makes them anew,
    root's for a moment when root is the one. While control keeps one open that does not happen.
    """
    if config.database:
        return None
    deadline = time.monotonic() + _OPEN_SECONDS
    while True:
        kept = sqlite3.connect(config.sqlite_file, timeout=_OPEN_SECONDS)
        try:
            kept.execute("PRAGMA journal_mode=WAL").fetchone()
            kept.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return kept
        except sqlite3.OperationalError:
            kept.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _refuse_if_lost(config: Config, where: object) -> None:
    """Raise DatabaseLost where accounts have homes that no database knows of."""
    if _is_empty(config) and config.homes.is_dir() and any(config.homes.iterdir()):
        raise DatabaseLost(where=where, homes=config.homes)


def _is_empty(config: Config) -> bool:
    """Whether nothing is in the database. An SQLite file that is missing is not made by the question."""
    if not config.database and not config.sqlite_file.exists():
        return True
    return not connection.introspection.table_names()


def _migrate(config: Config, where: object) -> None:
    if not config.database and not _is_empty(config):
        _copy(config.sqlite_file, config.sqlite_file.with_suffix(".before-upgrade"))
    try:
        # One transaction, which a failure or a kill undoes. What control writes meanwhile waits, and is not lost.
        # SQLite's migrations need its constraint checks off, and those can't be turned off in a transaction.
        with connection.constraint_checks_disabled(), transaction.atomic():
            call_command("migrate", interactive=False, verbosity=0)
    except Exception as error:
        connection.close()
        raise DatabaseBroken(
            where=where, problem=f"the upgrade failed: {error}", remedy="It was left as it was before."
        ) from error


def _copy(source: Path, target: Path) -> None:
    """Copy a database through SQLite, which minds those who use either."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def _own(config: Config) -> None:
    """Give the SQLite files to control, whoever made them."""
    if config.database or os.geteuid() != 0:
        return
    connection.close()
    for path in config.sqlite_file.parent.glob(f"{config.sqlite_file.stem}*"):
        os.chown(path, config.control_uid, config.control_uid)
        path.chmod(0o600)
