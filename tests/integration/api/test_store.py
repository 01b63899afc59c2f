"""The supervisor's view of the database, next to a control process that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from hereabouts.config import Config
from hereabouts.core.store import Store
from hereabouts.core.webapp import Account, Observation, Status, Website
from tests.integration.api.conftest import Caller

SEEN = Observation(Status.RUNNING, 12.5, None, 3, 2)


@pytest.fixture
def store(config: Config) -> Store:
    from hereabouts.control.store import DjangoStore

    return DjangoStore()


@pytest.fixture
def queries(config: Config) -> Iterator[list[Any]]:
    """The queries of this process from here on."""
    from django.db import connection

    asked: list[Any] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield asked


def test_nothing_is_read_again_while_nobody_writes(
    store: Store, alice: Caller, queries: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection

    connection.close()
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)  # as the supervisor has it
    alice.create()
    first = store.websites()
    queries.clear()
    assert store.websites() is first
    assert [query for query in queries if query.startswith("SELECT")] == []
    alice.create("www.alice.test")  # in control's own process
    assert len(store.websites()) == 2


def test_every_website_in_two_queries(store: Store, alice: Caller, bob: Caller, queries: list[Any]) -> None:
    first = alice.create(command="one")
    second = bob.create("www.bob.test", command="two", enabled=False)
    queries.clear()
    found = {website.id: website for website in store.websites()}
    assert len([query for query in queries if query.startswith("SELECT")]) == 2
    assert found.keys() == {first["id"], second["id"]}
    owner = found[first["id"]].account
    assert (type(owner), owner.name) == (Account, "alice")
    assert found[first["id"]] == Website(first["id"], "alice.example.org", owner, "one", True, 1)
    other = found[second["id"]]
    assert (other.domain, other.account.name, other.enabled) == ("www.bob.test", "bob", False)


def test_one_website(store: Store, alice: Caller) -> None:
    number = alice.create()["id"]
    assert [store.website(number)] == store.websites()
    alice.call("POST", "alice.example.org/reload/")
    found = store.website(number)
    assert found is not None
    assert found.generation == 2
    alice.call("DELETE", "alice.example.org/")
    assert store.website(number) is None
    assert list(store.websites()) == []


def test_record_and_read(store: Store, alice: Caller, queries: list[Any]) -> None:
    number = alice.create()["id"]
    assert store.observations() == {}
    store.record(number, SEEN)
    assert store.observations() == {number: SEEN}
    other = Observation(Status.CRASHED, 13.0, "Exit code 1. ☃", 0, 4)
    queries.clear()
    store.record(number, other)
    assert len([query for query in queries if query.startswith("INSERT")]) == 1
    assert store.observations() == {number: other}
    alice.call("DELETE", "alice.example.org/")
    assert store.observations() == {}


def test_a_deleted_website_is_passed_over(store: Store, alice: Caller) -> None:
    number = alice.create()["id"]
    alice.call("DELETE", "alice.example.org/")
    store.record(number, SEEN)
    assert store.observations() == {}
    store.record(alice.create()["id"], SEEN)
    assert len(store.observations()) == 1


def test_recording_leaves_what_is_wanted_alone(store: Store, alice: Caller, services: ModuleType) -> None:
    number = alice.create()["id"]
    stale = store.website(number)
    alice.call("POST", "alice.example.org/reload/")
    store.record(number, SEEN)
    found = store.website(number)
    assert stale and found and found.generation == stale.generation + 1


def test_it_works_again_after_the_database_was_locked(
    store: Store, alice: Caller, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError, connection

    number = alice.create()["id"]
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.05)
    blocker = sqlite3.connect(config.sqlite_file, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"):
        store.record(number, SEEN)
    assert len(store.websites()) == 1  # reading needs no lock
    blocker.execute("ROLLBACK")
    blocker.close()
    store.record(number, SEEN)
    assert store.observations() == {number: SEEN}


def test_it_works_again_after_its_connection_broke(store: Store, alice: Caller) -> None:
    from django.db import connection

    alice.create()
    connection.ensure_connection()
    connection.connection.close()
    assert len(store.websites()) == 1
