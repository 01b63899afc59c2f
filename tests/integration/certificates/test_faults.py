"""Whatever fails or is killed in the middle of an order, the certificate comes."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from hereabouts.daemons.environ import environment
from hereabouts.errors import PlatformNotRunning
from tests.certified import Stage, staged
from tests.pebble import Request
from tests.platform import wait_for

HALF = "50"


@pytest.fixture(scope="module")
def moody() -> Iterator[Stage]:
    """An authority that refuses half of all nonces, and never says that a name is proved already."""
    with staged(PEBBLE_WFE_NONCEREJECT=HALF, PEBBLE_AUTHZREUSE="0") as made:
        yield made


def kill(stage: Stage, name: str) -> None:
    """KILL a process of the platform, and wait for its successor."""
    before = stage.platform.pids()[name]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: stage.platform.pids()[name] != before, 20, f"another {name}")


class Halt:
    """Stops the order at a request: before the authority gets it, or before we get the answer."""

    def __init__(self, path: str, *, answered: bool) -> None:
        self.path, self.answered = path, answered
        self.reached, self.released = threading.Event(), threading.Event()

    def __call__(self, request: Request) -> tuple[int, dict[str, str], Any] | None:
        if self.reached.is_set() or not request.path.startswith(self.path) or request.answered != self.answered:
            return None
        self.reached.set()
        self.released.wait(60)
        return 502, {}, b"too late"  # nobody waits for it any more


def ask(stage: Stage, name: str) -> threading.Thread:
    """Ask for a certificate, from a thread that does not mind when the process dies."""

    def asking() -> None:
        with suppress(PlatformNotRunning):
            stage.issue(name)

    thread = threading.Thread(target=asking)
    thread.start()
    return thread


STEPS = ["/order-plz", "/my-order", "/authZ", "/chalZ", "/finalize-order", "/certZ"]


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("path", STEPS)
def test_a_process_that_is_killed_in_an_order_goes_on_with_it(moody: Stage, path: str, answered: bool) -> None:
    name = moody.fresh()
    moody.open()
    moody.want(name)
    halt = moody.door.rule = Halt(path, answered=answered)
    thread = ask(moody, name)
    assert halt.reached.wait(30)
    before = len(moody.door.seen)

    kill(moody, "certificates")

    halt.released.set()
    thread.join()
    wait_for(lambda: moody.certified(name), 60, "the certificate")
    wait_for(lambda: moody.row(name)["fingerprint"] == moody.fingerprint(name), 10, "the record")
    later = moody.door.seen[before:]
    assert ("/order-plz" in later) == (path == "/order-plz"), later


@pytest.mark.parametrize("stopped", ["supervisor", "nginx"])
def test_a_process_that_is_killed_while_it_installs_goes_on_with_it(moody: Stage, stopped: str) -> None:
    name = moody.fresh()
    moody.open()
    moody.want(name)
    done = threading.Event()

    def rule(request: Request) -> None:
        if request.path.startswith("/certZ") and not request.answered and not done.is_set():
            moody.send(stopped, signal.SIGSTOP)
            done.set()

    moody.door.rule = rule
    thread = ask(moody, name)
    try:
        assert done.wait(30)
        config = moody.platform.config
        installed = config.certificates / "own" / f"{name}.pem"
        file = installed if stopped == "nginx" else config.offered / f"{name}.pem"
        wait_for(file.exists, 20, "the offer")

        kill(moody, "certificates")
    finally:
        moody.send(stopped, signal.SIGCONT)

    thread.join()
    wait_for(lambda: moody.certified(name), 60, "the certificate")
    wait_for(lambda: moody.row(name)["fingerprint"] == moody.fingerprint(name), 20, "the record")
    wait_for(lambda: not list(_orders(moody)), 10, "the order's end")


def _orders(stage: Stage) -> Iterator[Path]:
    return (stage.platform.config.secret_file.parent / "acme" / "orders").glob("*.json")


def test_many_names_come_though_half_of_all_nonces_are_refused(moody: Stage) -> None:
    names = [moody.fresh() for _ in range(8)]
    moody.open()

    moody.want(*names)

    wait_for(lambda: all(map(moody.certified, names)), 60, "eight certificates")


def test_a_validation_that_fails_is_told_and_then_comes(moody: Stage) -> None:
    name = moody.fresh()
    moody.open()
    failing = [True]

    def rule(request: Request) -> None:
        if request.path.startswith("/chalZ") and not request.answered and failing:
            moody.pebble.names.tell("set-servfail", host=name)

    moody.door.rule = rule
    moody.want(name)
    answer = moody.issue(name)
    assert answer["kind"] == "authority", answer
    assert answer["problem"].startswith("The certificate authority says: "), answer
    assert moody.row(name)["problem"] == answer["problem"]

    failing.clear()
    moody.pebble.names.tell("clear-servfail", host=name)

    assert moody.issue(name) == {"status": "done"}
    assert moody.row(name)["problem"] is None


def test_many_names_come_though_each_validation_fails_or_not_at_random(moody: Stage) -> None:
    names = [moody.fresh() for _ in range(8)]
    chance, lock = random.Random(7), threading.Lock()

    def rule(request: Request) -> None:
        """The name server fails for a name, or not, from one challenge to the next."""
        if not request.path.startswith("/chalZ") or request.answered:
            return
        with lock:
            for name in names:
                what = "set-servfail" if chance.random() < 0.6 else "clear-servfail"
                moody.pebble.names.tell(what, host=name)

    def come() -> bool:
        waiting = [name for name in names if not moody.certified(name)]
        for name in waiting:
            moody.issue(name, 0.1)  # as an owner does who can't wait for the next try
        return not waiting

    moody.door.rule = rule
    moody.want(*names)
    wait_for(come, 240, "eight certificates")


def test_while_the_authority_is_away_that_is_told_and_then_the_order_goes_on(stage: Stage) -> None:
    name = stage.fresh()
    stage.pebble.stop()
    stage.want(name)

    answer = stage.issue(name)

    assert answer["kind"] == "unreachable", answer
    assert "out of order: HTTP 502" in answer["problem"]
    row = stage.row(name)
    assert row["failures"] >= 1
    assert row["next_try_at"] > 0

    stage.pebble.start()  # which has forgotten our account

    assert stage.issue(name) == {"status": "done"}
    stage.trusted(name)


def test_a_failure_that_can_t_be_written_still_makes_the_next_try_wait(stage: Stage) -> None:
    name = "unwritten.localhost"  # no custom domain: that its DNS can't be written would end the order before
    database = sqlite3.connect(stage.platform.config.sqlite_file, isolation_level=None, check_same_thread=False)
    orders = [0]

    def rule(request: Request) -> tuple[int, dict[str, str], Any] | None:
        if request.path != "/order-plz" or request.answered:
            return None
        if not orders[0]:
            database.execute("BEGIN IMMEDIATE")
        orders[0] += 1
        return 500, {}, {"type": "urn:ietf:params:acme:error:serverInternal", "detail": "out of luck", "status": 500}

    stage.door.rule = rule
    with closing(database):
        stage.want(name)
        wait_for(lambda: f"Could not record why {name} has no certificate" in stage.log(), 30, "a failure")

    wait_for(lambda: stage.row(name)["failures"], 30, "the record")
    assert (stage.row(name)["failures"], orders) == (1, [1])


def test_two_processes_never_work_at_once(stage: Stage) -> None:
    stage.issue("nobody.example.org")
    leader = stage.platform.pids()["certificates"]
    log = stage.pebble.directory / "second.log"
    with (
        log.open("w") as output,
        psutil.Popen(
            [sys.executable, "-m", "hereabouts.daemons", "certificates"],
            env=environment(stage.platform.config), cwd="/", stderr=output,
        ) as second,
    ):  # fmt: skip
        try:
            wait_for(lambda: "Another certificates process is at work" in log.read_text(), 20, "a second process")
            name = stage.fresh()
            stage.want(name)
            assert stage.issue(name) == {"status": "done"}
            assert psutil.Process(leader).is_running()
            assert second.poll() is None
        finally:
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0
