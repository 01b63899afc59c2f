"""The steps of a start: one after the other, of the latest start alone."""

from __future__ import annotations

from typing import Any

from hereabouts.supervisor import steps
from hereabouts.supervisor.steps import Steps


def seen(found: Steps, now: float = 100.0) -> list[tuple[Any, ...]]:
    told: Any = found.tell(now, 1000.0)["steps"]
    return [(step["name"], step["at"], step["seconds"], step["status"]) for step in told]


def started() -> Steps:
    found = Steps()
    found.begin(3, 1.0)
    found.reach(3, steps.SANDBOX, 2.0)
    found.reach(3, steps.SOCKET, 4.0)
    return found


def test_nothing_has_been_started() -> None:
    assert Steps().tell(1.0, 0.0) == {"generation": 0, "steps": [], "problem": None}


def test_each_step_ends_where_the_next_begins() -> None:
    found = started()
    assert seen(found, 9.0) == [
        (steps.TURN, 1001.0, 1.0, "done"),
        (steps.SANDBOX, 1002.0, 2.0, "done"),
        (steps.SOCKET, 1004.0, 5.0, "running"),
    ]
    found.reach(3, steps.check("/health"), 10.0)
    found.reach(3, steps.LEAD, 11.0)
    found.finish(3, 11.5)
    assert seen(found)[2:] == [
        (steps.SOCKET, 1004.0, 6.0, "done"),
        ("Health check: GET /health", 1010.0, 1.0, "done"),
        (steps.LEAD, 1011.0, 0.5, "done"),
    ]


def test_a_failure_ends_it_and_says_why() -> None:
    found = started()
    found.fail(3, "It exited with code 1.", 7.0)
    assert seen(found)[-1] == (steps.SOCKET, 1004.0, 3.0, "failed")
    assert found.tell(8.0, 0.0)["problem"] == "It exited with code 1."
    found.reach(3, steps.LEAD, 9.0)
    found.finish(3, 9.0)
    found.fail(3, "Something else.", 9.0)
    assert found.tell(9.0, 0.0)["problem"] == "It exited with code 1."
    assert len(seen(found)) == 3


def test_the_next_try_begins_anew() -> None:
    found = started()
    found.fail(3, "It exited with code 1.", 7.0)
    found.begin(3, 20.0)
    assert seen(found, 21.0) == [(steps.TURN, 1020.0, 1.0, "running")]
    assert found.tell(21.0, 0.0)["problem"] is None


def test_a_start_that_goes_on_is_not_begun_twice() -> None:
    found = started()
    before = seen(found)
    found.begin(3, 5.0)
    found.reach(3, steps.SOCKET, 5.0)
    assert seen(found) == before


def test_only_the_latest_generation_counts() -> None:
    found = started()
    found.begin(4, 5.0)
    for call in (found.finish, found.begin):
        call(3, 6.0)
    found.reach(3, steps.LEAD, 6.0)
    found.fail(3, "The old one.", 6.0)
    assert seen(found, 7.0) == [(steps.TURN, 1005.0, 2.0, "running")]
    assert found.tell(7.0, 0.0)["generation"] == 4


def test_what_is_given_up_is_forgotten_and_what_is_done_is_not() -> None:
    found = started()
    found.drop()
    assert seen(found) == []
    done = started()
    done.finish(3, 9.0)
    done.drop()
    assert len(seen(done)) == 3
