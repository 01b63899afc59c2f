"""Each rule of the plan by an example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hereabouts.core import lifecycle
from hereabouts.core.lifecycle import (
    DRAIN_GRACE_SECONDS,
    SUPERSEDE_SECONDS,
    Clear,
    GiveUp,
    Instance,
    Lead,
    Limits,
    Move,
    Phase,
    Plan,
    Publish,
    Route,
    Seen,
    Start,
)
from hereabouts.core.webapp import Account, Health, Status, Website

LIMITS = Limits(start=60, drain=30, stop=10, hold=24, crash_limit=3, crash_pause=300)
WANTED = Website(1, "alice.example.org", Account("alice", 1001), "serve", True, 2)
DISABLED = replace(WANTED, enabled=False)


def one(
    phase: Phase, *, generation: int = 2, since: float = 0.0, idle: bool = False, name: str = "new",
    hint: str | None = None,
) -> Instance:  # fmt: skip
    return Instance(name, generation, phase, since, idle, hint)


def seen(*instances: Instance, lead: Lead | str = Lead.WAIT, **more: object) -> Seen:
    return replace(Seen(instances=instances, lead=lead), **more)  # type: ignore[arg-type]


def plan(wanted: Website | None, found: Seen, now: float = 1.0) -> Plan:
    return lifecycle.plan(wanted, found, now, LIMITS)


def test_a_new_website_is_held_for_and_started() -> None:
    assert plan(WANTED, Seen()) == Plan((Route(Lead.WAIT), Start(2)))


def test_a_disabled_website_is_said_to_be() -> None:
    assert plan(DISABLED, Seen()) == Plan((Route(Lead.DISABLED),))
    assert plan(DISABLED, Seen(lead=Lead.DISABLED)) == Plan(())


def test_nothing_is_to_do_for_one_that_never_was() -> None:
    assert plan(None, Seen()) == Plan(())


def test_a_start_is_waited_for_until_its_deadline() -> None:
    starting = seen(one(Phase.STARTING, since=5))
    assert plan(WANTED, starting, 64.9) == Plan((), 65)
    assert plan(WANTED, starting, 65) == Plan((GiveUp("new"),))


def test_a_health_check_has_its_own_time_after_the_start_had_its() -> None:
    wanted = replace(WANTED, health=Health("/health", seconds=100))
    checking = seen(one(Phase.CHECKING, since=50))
    assert plan(wanted, checking, 149) == Plan((), 150)
    assert plan(wanted, checking, 150) == Plan((GiveUp("new"),))
    older = seen(one(Phase.CHECKING, generation=1, since=50))
    assert plan(wanted, older, 51) == Plan((), 50 + SUPERSEDE_SECONDS)


def test_one_that_is_checked_is_ended_with_its_website() -> None:
    assert plan(DISABLED, seen(one(Phase.CHECKING), lead=Lead.DISABLED)).actions == (Move("new", Phase.TERMINATING),)


def test_an_older_start_gives_way() -> None:
    older = seen(one(Phase.STARTING, generation=1, since=5))
    assert plan(WANTED, older, 6) == Plan((), 5 + SUPERSEDE_SECONDS)
    assert plan(WANTED, older, 5 + SUPERSEDE_SECONDS) == Plan((Move("new", Phase.TERMINATING),))
    hopeless = lifecycle.hinted(older, "new", "a port")
    assert plan(WANTED, hopeless, 6) == Plan((Move("new", Phase.TERMINATING),))


def test_one_that_accepts_is_published() -> None:
    old = one(Phase.SERVING, generation=1, name="old")
    assert plan(WANTED, seen(old, one(Phase.READY), lead="old")) == Plan((Publish("new"),))


def test_of_two_that_accept_the_newest_is_published() -> None:
    older = one(Phase.READY, generation=1, name="older")
    assert plan(WANTED, seen(older, one(Phase.READY))).actions == (Publish("new"), Move("older", Phase.TERMINATING))


def test_the_replaced_one_drains() -> None:
    old = one(Phase.SERVING, generation=1, name="old")
    assert plan(WANTED, seen(old, one(Phase.SERVING), lead="new")).actions == (Move("old", Phase.DRAINING),)


def test_all_is_well() -> None:
    assert plan(WANTED, seen(one(Phase.SERVING), lead="new"), 1e9) == Plan(())


def test_a_reload_starts_beside_the_serving_one() -> None:
    assert plan(WANTED, seen(one(Phase.SERVING, generation=1), lead="new")) == Plan((Start(2),))


def test_the_serving_one_stays_when_the_new_one_failed() -> None:
    failed = seen(one(Phase.SERVING, generation=1), lead="new", failed=2, failures=1)
    assert plan(WANTED, failed) == Plan(())
    assert plan(replace(WANTED, generation=3), failed) == Plan((Start(3),))


def test_one_that_ended_is_cleared_and_started_again() -> None:
    gone = seen(one(Phase.ENDED), lead="new", failed=2, failures=1, retry_at=0.5)
    assert plan(WANTED, gone) == Plan((Route(Lead.WAIT), Start(2), Clear("new")))


def test_a_retry_waits_for_its_time() -> None:
    failed = seen(failed=2, failures=2, retry_at=7)
    assert plan(WANTED, failed, 6) == Plan((), 7)
    assert plan(WANTED, failed, 7) == Plan((Start(2),))


def test_a_new_generation_does_not_wait() -> None:
    assert plan(WANTED, seen(failed=1, failures=9, retry_at=500)).actions == (Start(2),)


@pytest.mark.parametrize("wanted", [DISABLED, None])
def test_disable_and_delete_lead_away_before_they_end_anything(wanted: Website | None) -> None:
    lead = Lead.DISABLED if wanted else Lead.NOWHERE
    found = seen(
        one(Phase.SERVING, name="a"), one(Phase.STARTING, name="b"), one(Phase.READY, name="c"), lead="a"
    )  # fmt: skip
    assert plan(wanted, found).actions == (
        Route(lead), Move("a", Phase.DRAINING), Move("b", Phase.TERMINATING), Move("c", Phase.TERMINATING),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("idle", "now", "expected"),
    [
        (False, 29.9, Plan((), 30)),
        (False, 30, Plan((Move("new", Phase.TERMINATING),))),
        (True, DRAIN_GRACE_SECONDS / 2, Plan((), DRAIN_GRACE_SECONDS)),
        (True, DRAIN_GRACE_SECONDS, Plan((Move("new", Phase.TERMINATING),))),
    ],
)
def test_draining(idle: bool, now: float, expected: Plan) -> None:
    assert plan(None, seen(one(Phase.DRAINING, idle=idle), lead=Lead.NOWHERE), now) == expected


def test_terminating_then_killing_then_cleared() -> None:
    nowhere = {"lead": Lead.NOWHERE}
    assert plan(None, Seen((one(Phase.TERMINATING),), **nowhere), 9.9) == Plan((), 10)
    assert plan(None, Seen((one(Phase.TERMINATING),), **nowhere), 10) == Plan((Move("new", Phase.KILLING),))
    assert plan(None, Seen((one(Phase.KILLING),), **nowhere), 1e9) == Plan(())
    assert plan(None, Seen((one(Phase.ENDED),), **nowhere)) == Plan((Clear("new"),))


def test_the_earliest_time_is_waited_for() -> None:
    found = seen(one(Phase.STARTING), one(Phase.TERMINATING, name="a", since=-3), one(Phase.DRAINING, name="b"))
    assert plan(WANTED, found).wake_at == 7


def test_moved_resets_the_clock_and_touches_nobody_else() -> None:
    found = seen(one(Phase.SERVING, idle=True), one(Phase.DRAINING, name="old"))
    after = lifecycle.moved(found, "new", Phase.DRAINING, 5)
    assert after.instances == (one(Phase.DRAINING, since=5), one(Phase.DRAINING, name="old"))


@pytest.mark.parametrize("phase", Phase)
def test_no_phase_is_entered_again(phase: Phase) -> None:
    found, later = seen(one(phase)), list(Phase)[list(Phase).index(phase) + 1 :]
    for other in Phase:
        assert (lifecycle.moved(found, "new", other, 5) != found) is (other in later)


def test_a_hint_is_of_a_start_alone() -> None:
    found = lifecycle.hinted(seen(one(Phase.STARTING), one(Phase.SERVING, name="old")), "new", "a port")
    assert [i.hint for i in lifecycle.hinted(found, "old", "a port").instances] == ["a port", None]
    assert lifecycle.moved(found, "new", Phase.TERMINATING, 5).instances[0].hint is None


def test_one_that_ended_while_it_was_published_is_replaced() -> None:
    found = lifecycle.published(seen(one(Phase.ENDED), failed=2, failures=1, failure="It exited."), "new", 5)
    assert (found.lead, found.failed, found.failure) == ("new", 2, "It exited.")
    assert plan(WANTED, found).actions == (Route(Lead.WAIT), Start(2), Clear("new"))


def test_published_forgets_the_failure() -> None:
    found = lifecycle.published(seen(one(Phase.READY), failed=2, failures=2, failure="It exited."), "new", 5)
    assert (found.lead, found.served_once, found.failed, found.failure) == ("new", True, 0, None)
    assert found.failures == 2


def test_published_remembers_the_failure_of_a_newer_one() -> None:
    found = lifecycle.published(seen(one(Phase.READY, generation=1), failed=2, failure="It exited."), "new", 5)
    assert (found.failed, found.failure) == (2, "It exited.")


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 0), (2, 1.0), (3, 2.0), (4, 4.0), (9, 30.0), (99, 30.0), (100, 300.0)]
)
def test_the_pause_grows(failures: int, seconds: float) -> None:
    assert lifecycle.pause(failures, replace(LIMITS, crash_limit=100)) == seconds


def test_failures_are_counted() -> None:
    first = lifecycle.failed(Seen(), 2, "a", 5, LIMITS)
    assert (first.failures, first.failed, first.failure, first.retry_at) == (1, 2, "a", 5)
    second = lifecycle.failed(first, 2, "b", 6, LIMITS)
    assert (second.failures, second.failure, second.retry_at) == (2, "b", 7)
    third = lifecycle.failed(second, 2, "c", 8, LIMITS)
    assert (third.failures, third.retry_at) == (3, 308)
    assert lifecycle.failed(third, 3, "d", 9, LIMITS).failures == 1
    assert lifecycle.failed(third, 2, "d", 9, LIMITS, served=11).failures == 1
    assert lifecycle.failed(third, 2, "d", 9, LIMITS, served=9).failures == 4
    assert lifecycle.failed(third, 1, "d", 9, LIMITS).failed == 2


@pytest.mark.parametrize(
    ("wanted", "found", "status", "detail"),
    [
        (DISABLED, seen(one(Phase.SERVING), lead="new"), Status.DISABLED, None),
        (WANTED, Seen(), Status.STARTING, None),
        (WANTED, seen(one(Phase.STARTING, hint="a port")), Status.STARTING, "a port"),
        (WANTED, seen(one(Phase.STARTING, generation=1, hint="a port")), Status.STARTING, None),
        (WANTED, seen(one(Phase.CHECKING)), Status.STARTING, None),
        (
            WANTED, seen(one(Phase.SERVING, generation=1), one(Phase.STARTING, hint="a port", name="b"), lead="new"),
            Status.RUNNING, "The new process does not serve yet: a port",
        ),
        (WANTED, seen(one(Phase.SERVING), lead="new"), Status.RUNNING, None),
        (WANTED, seen(served_once=True), Status.RESTARTING, None),
        (WANTED, seen(failed=2, failures=1, failure="why"), Status.RESTARTING, "why"),
        (WANTED, seen(failed=2, failures=3, failure="why"), Status.CRASHED, "why"),
        (WANTED, seen(failed=1, failures=3, failure="why"), Status.STARTING, None),
        (
            WANTED, seen(one(Phase.SERVING, generation=1), lead="new", failed=2, failure="why"), Status.RUNNING,
            "The last reload failed: why",
        ),
    ],
)  # fmt: skip
def test_status(wanted: Website, found: Seen, status: Status, detail: str | None) -> None:
    assert lifecycle.status(wanted, found, LIMITS) == (status, detail)


def test_observation() -> None:
    found = seen(one(Phase.SERVING, generation=1, name="old"), one(Phase.STARTING), lead="old", failed=2, failure="why")
    observation = lifecycle.observation(WANTED, found, 12.5, LIMITS)
    assert (observation.serving, observation.failed, observation.since) == (1, 2, 12.5)
    assert lifecycle.observation(WANTED, Seen(), 0, LIMITS).serving == 0


@pytest.mark.parametrize(
    ("wanted", "found", "answer"),
    [
        (WANTED, seen(one(Phase.SERVING), lead="new"), True),
        (WANTED, seen(one(Phase.SERVING, generation=1), lead="new"), False),
        (WANTED, seen(one(Phase.SERVING, generation=1), lead="new", failed=2), True),
        (WANTED, seen(one(Phase.STARTING)), False),
        (WANTED, seen(one(Phase.STARTING, hint="a port")), True),
        (WANTED, seen(one(Phase.STARTING, generation=1, hint="a port")), False),
        (WANTED, seen(one(Phase.SERVING, generation=1), one(Phase.STARTING, hint="x", name="b"), lead="new"), True),
        (WANTED, seen(failed=1), False),
        (DISABLED, seen(one(Phase.SERVING), lead="new"), False),
        (DISABLED, seen(one(Phase.DRAINING), lead=Lead.DISABLED), True),
        (None, seen(one(Phase.DRAINING), lead=Lead.NOWHERE), True),
    ],
)
def test_settled(wanted: Website | None, found: Seen, answer: bool) -> None:
    assert lifecycle.settled(wanted, found, 2) is answer


def test_stop_first_ends_the_old_one_before_the_new_one_starts() -> None:
    wanted = replace(WANTED, stop_first=True)
    old = one(Phase.SERVING, generation=1, name="old", since=-60)
    assert plan(wanted, seen(old, lead="old")).actions == (Route(Lead.WAIT), Move("old", Phase.DRAINING))
    assert plan(wanted, seen(replace(old, phase=Phase.DRAINING, since=0))) == Plan((), LIMITS.hold / 3)
    assert plan(wanted, seen(replace(old, phase=Phase.TERMINATING, since=0))) == Plan((), LIMITS.hold / 3)
    assert plan(wanted, seen(replace(old, phase=Phase.ENDED))).actions == (Start(2), Clear("old"))
    assert plan(wanted, seen()).actions == (Start(2),)


def test_one_that_takes_no_connections_any_more_is_replaced_at_once() -> None:
    deaf = lifecycle.deafened(seen(one(Phase.SERVING), lead="new"), "new")
    assert plan(WANTED, deaf).actions == (Route(Lead.WAIT), Move("new", Phase.TERMINATING), Start(2))
    assert lifecycle.deafened(seen(one(Phase.DRAINING)), "new") == seen(one(Phase.DRAINING))


def test_reloads_on_the_heels_of_one_are_gathered() -> None:
    serving = seen(one(Phase.SERVING, generation=1, since=10), lead="new", changed_at=10.5)
    assert plan(WANTED, serving, 10.6) == Plan((), 10.5 + lifecycle.COALESCE_SECONDS)
    assert plan(WANTED, serving, 10.5 + lifecycle.COALESCE_SECONDS).actions == (Start(2),)
    assert plan(WANTED, replace(serving, changed_at=11.2), 11.2).actions == (Start(2),)


@pytest.mark.parametrize(
    ("phase", "routed", "after", "since"),
    [
        (Phase.STARTING, False, Phase.STARTING, 3),
        (Phase.STARTING, True, Phase.SERVING, 3),
        (Phase.CHECKING, False, Phase.CHECKING, 3),
        (Phase.SERVING, True, Phase.SERVING, 3),
        (Phase.SERVING, False, Phase.DRAINING, 9),
        (Phase.DRAINING, False, Phase.DRAINING, 3),
        (Phase.DRAINING, True, Phase.SERVING, 3),
        (Phase.TERMINATING, False, Phase.TERMINATING, 3),
        (Phase.KILLING, False, Phase.TERMINATING, 3),
    ],
)
def test_adopted(phase: Phase, routed: bool, after: Phase, since: float) -> None:
    found = lifecycle.adopted(one(phase, since=3), 9, routed=routed)
    assert (found.phase, found.since) == (after, since)


def test_a_note_of_an_earlier_boot_is_no_later_than_now() -> None:
    assert lifecycle.adopted(one(Phase.TERMINATING, since=1e6), 9, routed=False).since == 9
