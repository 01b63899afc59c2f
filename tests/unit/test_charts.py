"""Charts: gaps, ticks, how numbers are written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hereabouts.control.dashboard import charts
from hereabouts.control.dashboard.charts import BYTES, COUNT, HEIGHT, PERCENT, RATE, SECONDS, WIDTH, Chart, Series, Unit

BEGIN = 1_790_000_000 - 1_790_000_000 % 3600
HOUR = 3600


def chart(values: list[float | None], times: list[int] | None = None, unit: Unit = COUNT, length: int = HOUR) -> Chart:
    places = [BEGIN + 20 * number for number in range(len(values))] if times is None else times
    series = [Series("one", "mark", values)]
    return charts.line_chart("Title", places, series, begin=BEGIN, end=BEGIN + length, step=20, unit=unit)


def test_a_line_goes_from_value_to_value() -> None:
    found = chart([0.0, 4.0, 2.0])
    assert found.lines[0].path == f"M0 {HEIGHT}L5.556 0L11.11 {HEIGHT // 2}"
    assert found.lines[0].area == f"M0 {HEIGHT}L0 {HEIGHT}L5.556 0L11.11 {HEIGHT // 2}L11.11 {HEIGHT}Z"


def test_a_gap_stays_a_gap_and_a_value_alone_is_a_dot() -> None:
    unknown = chart([1.0, 1.0, None, 1.0])
    missing = chart([1.0, 1.0, 1.0], [BEGIN, BEGIN + 20, BEGIN + 60])
    for found in (unknown, missing):
        assert found.lines[0].path == "M0 0L5.556 0M16.67 0h0"
    assert [row[1] for row in unknown.rows] == ["1", "1", "–", "1"]


def test_nothing_counted_is_said() -> None:
    found = chart([])
    assert (found.rows, found.lines[0].path, found.summary) == ((), "", "nothing was counted")


@given(
    some.lists(some.floats(0, 1e12), min_size=1, max_size=20), some.sampled_from([COUNT, RATE, SECONDS, BYTES, PERCENT])
)
def test_all_that_is_drawn_is_in_the_box_under_few_lines(values: list[float], unit: Unit) -> None:
    found = chart(list(values), unit=unit)
    numbers = [float(word) for word in re.findall(r"[-\d.e+]+", found.lines[0].path.replace("h0", ""))]
    assert all(-0.01 <= x <= WIDTH for x in numbers[::2])
    assert all(-0.01 <= y <= HEIGHT + 0.01 for y in numbers[1::2])
    assert 2 <= len(found.levels) <= 6
    assert [float(level.at) for level in found.levels][:: len(found.levels) - 1] == [HEIGHT, 0]


@pytest.mark.parametrize("length", [HOUR, 24 * HOUR, 7 * 24 * HOUR, 30 * 24 * HOUR])
def test_every_period_has_a_few_times(length: int) -> None:
    assert 2 <= len(chart([1.0], length=length).times) <= 5


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (COUNT, 3.0, "3"),
        (RATE, 0.05, "0.05/s"),
        (RATE, 12_345.0, "12.3 k/s"),
        (SECONDS, 0.0034, "3.4 ms"),
        (SECONDS, 2.5, "2.5 s"),
        (BYTES, 0.0, "0 B"),
        (BYTES, 38_273_024.0, "36.5 MB"),
        (PERCENT, 0.021, "2.1 %"),
    ],
)
def test_how_numbers_are_written(unit: Unit, value: float, text: str) -> None:
    assert unit.text(value) == text


def test_the_grid_s_numbers_are_round() -> None:
    assert [level.label for level in chart([0.0, 90 * 1024.0 * 1024], unit=BYTES).levels] == [
        "0", "25 MB", "50 MB", "75 MB", "100 MB",
    ]  # fmt: skip
    assert [level.label for level in chart([0.007], unit=SECONDS).levels] == ["0", "2 ms", "4 ms", "6 ms", "8 ms"]


def test_a_small_line_for_lists() -> None:
    found = charts.sparkline([0, 2, 1], "3 requests in the last hour")
    assert found.path == "M0 22L48 2L96 12"
    assert charts.sparkline([], "none").path == ""


def test_what_is_rare_is_drawn_only_where_there_is_any() -> None:
    times = [BEGIN + 20 * number for number in range(6)]
    series = [Series("2xx", "good", [4.0] * 6), Series("5xx", "bad", [0, 0, 0, 2.0, 0, 0], rare=True)]
    found = charts.line_chart("Title", times, series, begin=BEGIN, end=BEGIN + HOUR, step=20, unit=COUNT)
    assert found.lines[1].path == f"M11.11 {HEIGHT}L16.67 {HEIGHT // 2}L22.22 {HEIGHT}"
    assert [row[2] for row in found.rows] == ["0", "0", "0", "2", "0", "0"]
    assert found.summary == "2xx latest 4, at most 4; 5xx latest 0, at most 2"
