"""What is due when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hereabouts.core.agenda import Agenda

NAMES = st.sampled_from("abcdef")
MOMENTS = st.integers(0, 9).map(float)


@given(st.lists(st.tuples(NAMES, st.none() | MOMENTS)), MOMENTS)
def test_whose_moment_has_come_is_taken_once_the_earliest_first(
    puts: list[tuple[str, float | None]], now: float
) -> None:
    agenda = Agenda()
    for name, moment in puts:
        agenda.put(name, moment)
    held = {name: moment for name, moment in dict(puts).items() if moment is not None}

    assert agenda.first() == min(held.values(), default=None)
    taken = []
    while name := agenda.take(now):
        taken.append(name)

    assert sorted(taken) == sorted(name for name, moment in held.items() if moment <= now)
    assert [held[name] for name in taken] == sorted(held[name] for name in taken)
    assert agenda.first() == min((moment for moment in held.values() if moment > now), default=None)
