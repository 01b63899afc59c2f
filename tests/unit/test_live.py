"""How often a page that goes on by itself looks again."""

from __future__ import annotations

import pytest

from hereabouts.control.dashboard.live import pause


@pytest.mark.parametrize("every", [0.3, 2.0, 3.0])
def test_it_looks_less_often_as_time_goes(every: float) -> None:
    pauses = [pause(every, looked) for looked in range(1000)]
    assert pauses[:40] == [every] * 40
    assert pauses == sorted(pauses)
    assert pauses[-1] == 15.0


def test_in_an_hour_it_looks_a_few_hundred_times() -> None:
    passed, looked = 0.0, 0
    while passed < 3600:
        passed += pause(0.3, looked)
        looked += 1
    assert looked < 600
