"""Growing pauses between tries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hereabouts.core.pauses import Limit

LIMIT = Limit(free=5, longest=300.0, forget=3600.0)
counts = st.integers(0, 10**9)
times = st.floats(0, 4e9)


@pytest.mark.parametrize(
    ("count", "seconds"), [(0, 0), (1, 0), (4, 0), (5, 2), (6, 4), (7, 8), (12, 256), (13, 300), (10**9, 300)]
)
def test_pauses_grow_up_to_the_longest(count: int, seconds: float) -> None:
    assert LIMIT.pause(count) == seconds


def test_a_pause_ends() -> None:
    assert LIMIT.wait(7, 1000.0, 1000.0) == 8
    assert LIMIT.wait(7, 1000.0, 1005.5) == 2.5
    assert LIMIT.wait(7, 1000.0, 1008.0) == 0
    assert LIMIT.wait(4, 1000.0, 1000.0) == 0


def test_what_lies_far_back_is_forgotten() -> None:
    assert LIMIT.standing(9, 1000.0, 4600.0) == 9
    assert LIMIT.standing(9, 1000.0, 4600.1) == 0


@given(counts, times, times)
def test_nobody_waits_longer_than_the_longest(count: int, last: float, now: float) -> None:
    assert 0 <= LIMIT.wait(count, last, now) <= LIMIT.longest + 1e-6  # a clock that jumps keeps nobody out


@given(counts)
def test_no_pause_is_shorter_than_the_one_before(count: int) -> None:
    assert LIMIT.pause(count) <= LIMIT.pause(count + 1)
