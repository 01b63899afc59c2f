"""When certificates are renewed, whatever their lifetime."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hereabouts.core import renewal
from hereabouts.core.certificate import Certificate, Details, Kind
from hereabouts.core.renewal import Window

DAY = 86_400.0
LIVES = st.floats(30, 400 * DAY)
NAMES = st.from_regex(r"[a-z]{1,12}\.example\.org", fullmatch=True)


def details(life: float, start: float = 1_000_000.0, fingerprint: str = "ab" * 32) -> Details:
    return Details("Authority", "www.example.org", ("www.example.org",), start, start + life, fingerprint)


def certificate(life: float | None, **changes: object) -> Certificate:
    held = None if life is None else details(life)
    return Certificate("www.example.org", Kind.ACME, held, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("life", [90 * DAY, 47 * DAY, 6 * DAY, 600.0, 60.0])
def test_it_is_renewed_at_two_thirds_of_its_life_or_a_little_before(life: float) -> None:
    at = renewal.renew_at("www.example.org", details(life)) - 1_000_000.0

    assert 0.63 * life <= at <= 2 / 3 * life


def test_certificates_of_one_moment_are_renewed_at_different_ones_that_stay() -> None:
    times = {renewal.renew_at(f"{number}.example.org", details(90 * DAY)) for number in range(100)}
    again = {renewal.renew_at(f"{number}.example.org", details(90 * DAY)) for number in range(100)}

    assert len(times) == 100
    assert times == again
    assert max(times) - min(times) > 2 * DAY


@given(NAMES, LIVES, st.floats(0, 1), st.floats(0, 1))
def test_the_authoritys_window_is_kept(name: str, life: float, first: float, second: float) -> None:
    held = details(life)
    start, end = sorted((held.not_before + 0.9 * life * first, held.not_before + 0.9 * life * second))

    at = renewal.renew_at(name, held, Window(start, end))

    if end > start:
        assert start <= at <= max(end, held.not_before + min(life / 20, 6 * 3600)) + 1e-3


def test_a_window_in_the_past_makes_it_due_now() -> None:
    held = details(90 * DAY)
    at = renewal.renew_at("www.example.org", held, Window(held.not_before, held.not_before + 60))
    now = held.not_before + DAY

    assert renewal.due_at(Certificate("www.example.org", Kind.ACME, held, renew_at=at), now) == at < now


@pytest.mark.parametrize(("life", "hours"), [(90 * DAY, 6), (47 * DAY, 6), (2 * DAY, 2.4)])
def test_windows_that_have_always_passed_don_t_lead_to_one_renewal_after_the_other(life: float, hours: float) -> None:
    held = details(life)

    assert renewal.renew_at("www.example.org", held, Window(1.0, 2.0)) == held.not_before + hours * 3600


@given(LIVES, st.floats(0, 1e9), st.floats(0, 1e9))
def test_no_window_makes_it_too_late(life: float, start: float, span: float) -> None:
    held = details(life)

    at = renewal.renew_at("www.example.org", held, Window(1_000_000.0 + start, 1_000_000.0 + start + span))

    assert at <= held.not_after - 0.09 * life


def test_a_window_that_ends_before_it_begins_is_none() -> None:
    held = details(90 * DAY)

    assert renewal.renew_at("a.example.org", held, Window(5.0, 4.0)) == renewal.renew_at("a.example.org", held)


def test_pauses_grow_from_a_minute_to_six_hours() -> None:
    pauses = [renewal.pause("www.example.org", failures, details(90 * DAY)) for failures in range(1, 30)]

    assert 45 <= pauses[0] <= 60
    assert 4.5 * 3600 <= pauses[-1] <= 6 * 3600
    assert all(later > 1.4 * earlier for earlier, later in pairwise(pauses[:9]))


@given(NAMES, LIVES)
def test_there_are_several_tries_before_the_end(name: str, life: float) -> None:
    held = details(life)
    now, tries = renewal.renew_at(name, held), 0
    while now < held.not_after and tries < 100:
        tries += 1
        now += renewal.pause(name, tries, held)

    assert tries >= 6


@given(st.integers(1, 10_000), st.one_of(st.none(), LIVES))
def test_a_pause_is_never_shorter_than_a_second_nor_longer_than_six_hours(failures: int, life: float | None) -> None:
    found = renewal.pause("www.example.org", failures, None if life is None else details(life))

    assert 1.0 <= found <= 6 * 3600


def test_it_is_due_when_there_is_none_yet_and_after_a_failure_when_the_pause_is_over() -> None:
    assert renewal.due_at(certificate(None), 40.0) == 0.0
    assert renewal.due_at(certificate(None, failures=2, next_try_at=77.0), 40.0) == 77.0
    assert renewal.due_at(certificate(DAY, renew_at=50.0), 40.0) == 50.0
    assert renewal.due_at(certificate(DAY, renew_at=50.0, failures=1, next_try_at=60.0), 40.0) == 60.0
    assert renewal.due_at(Certificate("www.example.org", Kind.UPLOADED), 40.0) is None


@given(NAMES, LIVES, st.integers(1, 100), st.floats(0, renewal.LONGEST_LIMIT), st.floats(10 * DAY, 1e9))
def test_a_pause_and_a_limit_are_kept_but_not_what_a_clock_that_was_ahead_has_written(
    name: str, life: float, failures: int, limit: float, ahead: float
) -> None:
    held = details(life)
    renew = renewal.renew_at(name, held)
    failed = Certificate(name, Kind.ACME, held, renew_at=renew, failures=failures)
    later = max(renewal.pause(name, failures, held), limit)

    kept = renewal.due_at(replace(failed, next_try_at=renew + later), renew)
    foreign = renewal.due_at(replace(failed, next_try_at=renew + ahead + later), renew)

    assert kept == renew + later
    assert foreign == renew


@given(NAMES, LIVES, st.floats(1, 1e9))
def test_a_renewal_that_a_clock_that_was_ahead_has_put_off_is_due_as_ever(name: str, life: float, ahead: float) -> None:
    held = details(life)
    put_off = Certificate(name, Kind.ACME, held, renew_at=held.not_after + ahead)
    due = renewal.renew_at(name, held)

    assert renewal.due_at(put_off, held.not_before) == due
    assert not renewal.is_good(put_off, due)


@pytest.mark.parametrize("ahead", [1.0, DAY, 365 * DAY])
def test_a_window_that_was_asked_for_by_a_clock_that_was_ahead_is_asked_for_now(ahead: float) -> None:
    now = 1_000_000.0

    assert renewal.ask_at(certificate(90 * DAY, asked_at=now + ahead), now) <= now


def test_an_operator_hears_of_a_failing_renewal_when_a_quarter_of_the_life_is_left() -> None:
    failing = certificate(90 * DAY, failures=3)

    assert not renewal.must_tell(failing, 1_000_000.0 + 61 * DAY)
    assert renewal.must_tell(failing, 1_000_000.0 + 68 * DAY)
    assert not renewal.must_tell(certificate(90 * DAY), 1_000_000.0 + 68 * DAY)
    assert not renewal.must_tell(certificate(None, failures=3), 1_000_000.0)


def test_it_is_good_until_it_is_due() -> None:
    held = certificate(DAY, renew_at=1_000_000.0 + 0.6 * DAY)

    assert renewal.is_good(held, 1_000_000.0 + 0.5 * DAY)
    assert not renewal.is_good(held, 1_000_000.0 + 0.7 * DAY)
    assert not renewal.is_good(certificate(None), 1_000_000.0)


def test_the_window_is_asked_for_as_often_as_the_authority_says() -> None:
    now = 1_000_000.0
    held = certificate(90 * DAY, asked_at=now)

    assert 5.3 * 3600 < renewal.ask_at(held, now) - now <= 6 * 3600
    assert renewal.ask_at(held, now, 1.0) - now <= 60
    assert renewal.ask_at(held, now, 1e9) - now <= DAY
    assert renewal.ask_at(certificate(80.0, asked_at=now), now) - now <= 10


def test_a_domain_that_is_wrong_is_looked_up_often_and_less_as_time_goes() -> None:
    assert renewal.look_again("a.org", wrong_for=0.0) <= 10
    assert 500 <= renewal.look_again("a.org", wrong_for=DAY) <= 600
    assert renewal.look_again("a.org", wrong_for=None) > 5 * 3600
