"""What is counted: merging, quantiles, records in their rings, what nginx tells."""

from __future__ import annotations

import ctypes
import math
from bisect import bisect_left
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hereabouts.core import metrics
from hereabouts.core.metrics import (
    BUCKETS,
    COARSE,
    FINE,
    LATENCY_BOUNDS,
    RECORD_BYTES,
    Ring,
    Sample,
    Totals,
)

NOW = 1_790_000_000
INGRESS = Path(__file__).parents[2] / "ingress"

counts = some.integers(0, 0xFFFFFFFF)
samples = some.builds(
    Sample,
    at=some.integers(1, 0xFFFFFFFF),
    seconds=some.integers(0, 0xFFFF),
    answers=some.tuples(counts, counts, counts, counts, counts),
    bytes_out=some.integers(0, 0xFFFFFFFFFFFFFFFF),
    latency=some.tuples(*[counts] * BUCKETS),
    connections=counts,
    cpu_seconds=some.integers(0, 10**9).map(lambda ms: ms / 1000),
    memory_bytes=some.integers(0, 0xFFFFFFFF).map(lambda kib: kib << 10),
    restarts=some.integers(0, 0xFFFF),
    latency_seconds=some.integers(0, 10**9).map(lambda ms: ms / 1000),
)
small = some.builds(
    Sample,
    at=some.integers(NOW, NOW + 100_000),
    seconds=some.integers(1, 300),
    answers=some.tuples(*[some.integers(0, 1000)] * 5),
    bytes_out=some.integers(0, 10**9),
    latency=some.tuples(*[some.integers(0, 1000)] * BUCKETS),
    connections=some.integers(0, 100),
    restarts=some.integers(0, 3),
)


def histogram(times: list[float]) -> tuple[int, ...]:
    found = [0] * BUCKETS
    for took in times:
        found[bisect_left(LATENCY_BOUNDS, took)] += 1
    return tuple(found)


@given(samples)
def test_a_record_says_what_was_packed(sample: Sample) -> None:
    record = metrics.pack(sample)
    assert len(record) == RECORD_BYTES
    assert metrics.unpack(record) == sample


def test_a_number_too_large_for_a_record_becomes_the_largest() -> None:
    found = metrics.unpack(metrics.pack(Sample(NOW, 10, answers=(0, 1 << 40, 0, 0, 0), memory_bytes=1 << 60)))
    assert found is not None
    assert found.answers[1] == 0xFFFFFFFF
    assert found.memory_bytes == 0xFFFFFFFF << 10


@given(samples, some.integers(0, RECORD_BYTES - 1), some.integers(1, 255))
def test_a_record_with_any_byte_changed_is_none(sample: Sample, place: int, change: int) -> None:
    record = bytearray(metrics.pack(sample))
    record[place] ^= change
    assert metrics.unpack(bytes(record)) is None


@given(some.lists(some.one_of(samples, some.none()), max_size=8))
def test_holes_between_records_are_passed_over(given_samples: list[Sample | None]) -> None:
    records = b"".join(bytes(RECORD_BYTES) if sample is None else metrics.pack(sample) for sample in given_samples)
    assert list(metrics.samples(records)) == [sample for sample in given_samples if sample is not None]


@given(some.sampled_from([FINE, COARSE]), some.integers(NOW, NOW + 10**7), some.integers(1, 10**7))
def test_spans_hold_the_place_of_every_moment(ring: Ring, begin: int, length: int) -> None:
    end = begin + length
    spans = ring.spans(begin, end)
    assert sum(size for _, size in spans) <= ring.slots * RECORD_BYTES
    latest = max(begin, end - (ring.slots - 1) * ring.step)
    for moment in (latest, (latest + end - 1) // 2, end - 1):
        assert any(offset <= ring.place(moment) < offset + size for offset, size in spans)


def test_rings_and_totals_don_t_overlap() -> None:
    assert FINE.offset >= metrics.TOTALS_BYTES
    assert FINE.offset + FINE.slots * RECORD_BYTES == COARSE.offset
    assert FINE.step * FINE.slots == 24 * 3600
    assert COARSE.step * COARSE.slots == 30 * 24 * 3600


@given(some.lists(small, min_size=1, max_size=6))
def test_merging_loses_no_answer(given_samples: list[Sample]) -> None:
    found = metrics.merge(given_samples)
    assert sum(found.answers) == sum(sum(sample.answers) for sample in given_samples)
    assert sum(found.latency) == sum(sum(sample.latency) for sample in given_samples)
    assert found.bytes_out == sum(sample.bytes_out for sample in given_samples)
    assert found.seconds == sum(sample.seconds for sample in given_samples)
    assert found.at == min(sample.at for sample in given_samples)
    assert found.connections == max(sample.connections for sample in given_samples)


@given(small, small, small)
def test_the_order_of_merging_does_not_matter(one: Sample, two: Sample, three: Sample) -> None:
    assert metrics.merge([metrics.merge([one, two]), three]) == metrics.merge([one, metrics.merge([three, two])])


@given(some.lists(some.floats(0.0, 29.0), min_size=1, max_size=200), some.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(times: list[float], q: float) -> None:
    found = metrics.quantile(histogram(times), q)
    assert found is not None
    ordered = sorted(times)
    true = ordered[max(0, -(-round(q * 1000) * len(ordered) // 1000) - 1)]
    number = bisect_left(LATENCY_BOUNDS, true)
    low = LATENCY_BOUNDS[number - 1] if number else 0.0
    assert low <= found <= LATENCY_BOUNDS[number]


def test_the_quantile_of_nothing_is_none_and_of_what_took_too_long_the_last_bound() -> None:
    assert metrics.quantile((0,) * BUCKETS, 0.5) is None
    assert metrics.quantile(histogram([100.0, 200.0]), 0.5) == LATENCY_BOUNDS[-1]


def test_points_are_merged_by_steps_and_gaps_are_left_out() -> None:
    step, begin = 60, NOW - NOW % 60
    given_samples = [Sample(begin + offset, 10, (0, 1, 0, 0, 0)) for offset in (0, 10, 50, 180, 190)]
    outside = [Sample(begin - 10, 10), Sample(begin + 600, 10)]
    records = b"".join(map(metrics.pack, [*outside, *given_samples]))
    found = metrics.points(records, begin, begin + 600, step)
    assert [(point.at - begin, point.seconds, point.answers[1]) for point in found] == [(0, 30, 3), (180, 20, 2)]


@given(some.lists(small, min_size=1, max_size=8))
def test_a_point_says_the_same_as_its_samples_merged(given_samples: list[Sample]) -> None:
    records = b"".join(map(metrics.pack, given_samples))
    [found] = metrics.points(records, 0, 1 << 32, 1 << 32)
    assert replace(found, cpu_seconds=0.0) == replace(metrics.merge(metrics.samples(records)), at=0)


def test_a_ring_s_record_grows_within_its_step_and_begins_anew_after_it() -> None:
    first, second = Sample(NOW, 10, (0, 1, 0, 0, 0)), Sample(NOW + 10, 10, (0, 2, 0, 0, 0))
    block = metrics.joined(COARSE, None, first)
    assert (block.at, block.seconds) == (COARSE.begin(NOW), 10)
    block = metrics.joined(COARSE, block, second)
    assert (block.at, block.seconds, block.answers[1]) == (COARSE.begin(NOW), 20, 3)
    later = metrics.joined(COARSE, block, replace(first, at=NOW + 300))
    assert (later.at, later.seconds, later.answers[1]) == (COARSE.begin(NOW) + 300, 10, 1)
    late = metrics.joined(FINE, first, first)
    assert (late.at, late.seconds, late.answers[1]) == (NOW, 10, 2)


@given(some.lists(small, max_size=6))
def test_totals_only_grow_and_survive_being_packed(given_samples: list[Sample]) -> None:
    totals = Totals()
    for sample in given_samples:
        totals = metrics.added(totals, sample)
    assert sum(totals.answers) == sum(sum(sample.answers) for sample in given_samples)
    assert metrics.unpack_totals(metrics.pack_totals(totals)) == totals


def test_totals_tell_how_it_was_at_the_latest_sample_also_after_the_clock_was_set_back() -> None:
    now, late, back = (
        Sample(NOW + offset, 10, connections=number) for number, offset in ((1, 0), (2, -10), (3, -7200))
    )
    totals = metrics.added(metrics.added(Totals(), now), late)
    assert (totals.at, totals.connections) == (NOW + 10, 1)
    totals = metrics.added(totals, back)
    assert (totals.at, totals.connections) == (NOW - 7190, 3)


@pytest.mark.parametrize("head", [b"", bytes(256), b"HAm1" + bytes(252), metrics.pack_totals(Totals(at=5))[:-1]])
def test_a_file_without_totals_has_none(head: bytes) -> None:
    assert metrics.unpack_totals(head) is None


def test_what_two_workers_counted_of_a_website_is_added_up() -> None:
    line = f"alice.localhost 2 1000 0 3 0 1 0 {' '.join(['4', *['0'] * (BUCKETS - 1)])} 0.25"
    told = f"@{NOW}:12:1\n{line}\nbroken 1 2\n@{NOW}:13:1\n{line}\n@{NOW + 10}:12:2\n{line}\n.\n"
    keys, found = metrics.parse_counts(told)
    assert keys == [f"{NOW}:12:1", f"{NOW}:13:1", f"{NOW + 10}:12:2"]
    assert set(found[NOW]) == {"alice.localhost"}
    both = found[NOW]["alice.localhost"]
    assert (both.answers, both.bytes_out, both.connections) == ((0, 6, 0, 2, 0), 2000, 4)
    assert (both.latency[0], both.latency_seconds) == (8, 0.5)
    assert found[NOW + 10]["alice.localhost"].bytes_out == 1000


def test_no_number_is_less_than_none() -> None:
    numbers = " ".join(["-1"] * (8 + BUCKETS))
    _, found = metrics.parse_counts(f"@{NOW}:12:1\nalice.localhost {numbers}\n.\n")
    both = found[NOW]["alice.localhost"]
    assert math.copysign(1, both.latency_seconds) == 1
    assert (both.answers, both.connections, both.bytes_out, both.latency) == ((0,) * 5, 0, 0, (0,) * BUCKETS)


CLOCK_STEPS_BACK = """
local clock, told = 1790000005, ""
ngx = {
    now = function() return clock end, req = { start_time = function() return 1790000005 end }, status = 200,
    var = { hereabouts_log = "alice.localhost", bytes_sent = "10" }, worker = { pid = function() return 12 end },
    shared = { metrics = { set = function(_, key, text) told = told .. text .. "\\n" return 1 end } },
    timer = { at = function() return 1 end },
}
local metrics = dofile(METRICS)
metrics.start()
metrics.began("alice.localhost")
clock = clock - 3600
metrics.ended()
clock = clock + 3600
metrics.began("alice.localhost")
metrics.ended()
return told
"""


def lua(program: str) -> str:
    """What a program returns in the Lua of nginx's module."""
    library = ctypes.CDLL("libluajit-5.1.so.2")
    for name in ("luaL_newstate", "lua_tolstring"):
        getattr(library, name).restype = ctypes.c_void_p
    state = ctypes.c_void_p(library.luaL_newstate())
    try:
        library.luaL_openlibs(state)
        failed = library.luaL_loadstring(state, program.encode()) or library.lua_pcall(state, 0, 1, 0)
        text = ctypes.string_at(library.lua_tolstring(state, -1, None)).decode()
    finally:
        library.lua_close(state)
    assert not failed, text
    return text


def test_no_request_took_less_than_no_time_where_the_clock_steps_back() -> None:
    told = lua(CLOCK_STEPS_BACK.replace("METRICS", f"'{INGRESS}/metrics.lua'"))
    line = next(line for line in told.splitlines() if line.startswith("alice.localhost "))
    assert line.split()[-1] == "0"


@given(some.text())
def test_whatever_is_told_is_no_error(text: str) -> None:
    metrics.parse_counts(text)
