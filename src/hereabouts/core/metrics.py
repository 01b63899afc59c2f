"""What is counted of a website: samples, how they are kept in a file of fixed size, and what is read out of it.

A website's file begins with its totals (``Totals``), and goes on with two rings of records: ``FINE``, a day of
intervals of ten seconds, and ``COARSE``, thirty days of five minutes. A record's place follows from its time, so a new
one takes the place of the oldest; where nothing was written, the file has holes. Each record ends with its CRC-32:
one that was written in part is none. Times are in whole seconds since the epoch.
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of a histogram's counts; one more counts what took longer. As in ingress/metrics.lua."""
BUCKETS = len(LATENCY_BOUNDS) + 1
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")

_U16, _U32, _U64 = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
_RECORD = struct.Struct(f"<IHH5IIQIII{BUCKETS}I")
_CONNECTIONS, _MEMORY = 8, 11
"""Where a record has the numbers of which the most counts when some become one."""
_TOTALS = struct.Struct(f"<4sI5QQ{BUCKETS}QddQIQ")
_CRC = struct.Struct("<I")
_MAGIC = b"HAm1"

_WHOLE = struct.Struct(_RECORD.format + "I")
"""A record with its CRC."""
RECORD_BYTES = _WHOLE.size
TOTALS_BYTES = _TOTALS.size + _CRC.size
_RINGS_BEGIN = 256
_JUMP_SECONDS = 3600
"""What comes so much earlier than the latest is no late sample: the clock was set back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was counted of one website from ``at`` on for ``seconds``.

    ``answers`` by class of their status, 1xx to 5xx; ``latency``: how many took how long (LATENCY_BOUNDS), WebSockets
    left out; ``latency_seconds``: how long these took together;
    ``connections``: requests being served at the end, of several intervals the most; ``memory_bytes`` likewise, 0 where
    no process ran; ``restarts``: how often a process was started again that had ended by itself.
    """

    at: int
    seconds: int
    answers: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    bytes_out: int = 0
    latency: tuple[int, ...] = (0,) * BUCKETS
    connections: int = 0
    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    restarts: int = 0
    latency_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What nginx counted of one website in one interval."""

    answers: tuple[int, int, int, int, int]
    bytes_out: int
    latency: tuple[int, ...]
    latency_seconds: float
    connections: int


@dataclass(frozen=True, slots=True)
class Totals:
    """All that was ever counted of a website, and how it was at ``at``, the end of its latest sample."""

    at: int = 0
    answers: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    bytes_out: int = 0
    latency: tuple[int, ...] = (0,) * BUCKETS
    latency_seconds: float = 0.0
    cpu_seconds: float = 0.0
    restarts: int = 0
    connections: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ring:
    """Where a file keeps records of ``step`` seconds: so many ``slots``, from byte ``offset`` on."""

    offset: int
    step: int
    slots: int

    def begin(self, at: int) -> int:
        """When the record begins to which a moment belongs."""
        return at - at % self.step

    def place(self, at: int) -> int:
        """The byte at which the record of a moment is."""
        return self.offset + at // self.step % self.slots * RECORD_BYTES

    def spans(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Where the records from ``begin`` to before ``end`` are: bytes and lengths, one or two of them."""
        first, last = begin // self.step, -(-end // self.step)
        count = min(last - first, self.slots)
        slot = (last - count) % self.slots
        head = min(count, self.slots - slot)
        found = [(self.offset + slot * RECORD_BYTES, head * RECORD_BYTES)]
        if head < count:
            found.append((self.offset, (count - head) * RECORD_BYTES))
        return found


FINE = Ring(_RINGS_BEGIN, 10, 8640)
COARSE = Ring(_RINGS_BEGIN + 8640 * RECORD_BYTES, 300, 8640)


def merge(samples: Iterable[Sample]) -> Sample:
    """Samples of one website as one, from the earliest on; their seconds are added up. There is at least one."""
    given = list(samples)
    if len(given) == 1:
        return given[0]
    first, second, third, fourth, fifth = (sum(column) for column in zip(*(s.answers for s in given), strict=True))
    return Sample(
        at=min(s.at for s in given),
        seconds=sum(s.seconds for s in given),
        answers=(first, second, third, fourth, fifth),
        bytes_out=sum(s.bytes_out for s in given),
        latency=tuple(map(sum, zip(*(s.latency for s in given), strict=True))),
        connections=max(s.connections for s in given),
        cpu_seconds=sum(s.cpu_seconds for s in given),
        memory_bytes=max(s.memory_bytes for s in given),
        restarts=sum(s.restarts for s in given),
        latency_seconds=sum(s.latency_seconds for s in given),
    )


def quantile(latency: tuple[int, ...], q: float) -> float | None:
    """The seconds within which a share ``q`` (0 to 1) was answered; None where nothing was.

    Between two bounds the answers are taken as evenly spread, as by Prometheus' histogram_quantile; beyond the last
    one nothing more is known than that bound.
    """
    total = sum(latency)
    if not total:
        return None
    rank, below, low = q * total, 0, 0.0
    for count, bound in zip(latency, LATENCY_BOUNDS, strict=False):
        if count and below + count >= rank:
            return low + (bound - low) * max(0.0, rank - below) / count
        below += count
        low = bound
    return low


def points(records: bytes, begin: int, end: int, step: int) -> list[Sample]:
    """What records say from ``begin`` to before ``end``, merged by steps of so many seconds; empty ones are left out.

    A ring has thousands of them: numbers are added up before samples are made of them, which takes a third of the time.
    """
    by_step: defaultdict[int, list[tuple[int, ...]]] = defaultdict(list)
    for row in _rows(records):
        if begin <= row[0] < end:
            by_step[row[0] - row[0] % step].append(row)
    found = []
    for at, rows in sorted(by_step.items()):
        columns = list(zip(*rows, strict=True))
        numbers = list(map(sum, columns))
        numbers[0], numbers[_CONNECTIONS], numbers[_MEMORY] = at, max(columns[_CONNECTIONS]), max(columns[_MEMORY])
        found.append(_sample(numbers))
    return found


def joined(ring: Ring, before: Sample | None, sample: Sample) -> Sample:
    """What a ring's record says once ``sample`` is part of it; ``before`` is what was read at its place."""
    begin = ring.begin(sample.at)
    if before is None or before.at != begin:
        return replace(sample, at=begin)
    found = merge((before, sample))
    return replace(found, at=begin, seconds=min(found.seconds, ring.step))


def added(totals: Totals, sample: Sample) -> Totals:
    """The totals once ``sample`` is counted in."""
    one, two, three, four, five = (old + new for old, new in zip(totals.answers, sample.answers, strict=True))
    end = sample.at + sample.seconds
    latest = not 0 < totals.at - end < _JUMP_SECONDS
    return Totals(
        at=end if latest else totals.at,
        answers=(one, two, three, four, five),
        bytes_out=totals.bytes_out + sample.bytes_out,
        latency=tuple(old + new for old, new in zip(totals.latency, sample.latency, strict=True)),
        latency_seconds=totals.latency_seconds + sample.latency_seconds,
        cpu_seconds=totals.cpu_seconds + sample.cpu_seconds,
        restarts=totals.restarts + sample.restarts,
        connections=sample.connections if latest else totals.connections,
        memory_bytes=sample.memory_bytes if latest else totals.memory_bytes,
    )


def pack(sample: Sample) -> bytes:
    """A record. Numbers beyond what it can hold become the largest that it can."""
    body = _RECORD.pack(
        sample.at,
        min(sample.seconds, _U16),
        min(sample.restarts, _U16),
        *(min(count, _U32) for count in sample.answers),
        min(sample.connections, _U32),
        min(sample.bytes_out, _U64),
        min(round(sample.cpu_seconds * 1000), _U32),
        min(sample.memory_bytes >> 10, _U32),
        min(round(sample.latency_seconds * 1000), _U32),
        *(min(count, _U32) for count in sample.latency),
    )
    return body + _CRC.pack(zlib.crc32(body))


def unpack(record: bytes) -> Sample | None:
    """What a record says; None for a hole and for one that is not whole."""
    return next(samples(record), None) if len(record) == RECORD_BYTES else None


def samples(records: bytes) -> Iterator[Sample]:
    """What records say that lie one behind the other; holes, and what is not whole, are passed over."""
    return map(_sample, _rows(records))


def _rows(records: bytes) -> Iterator[tuple[int, ...]]:
    """The numbers of each record that is whole."""
    view = memoryview(records)[: len(records) // RECORD_BYTES * RECORD_BYTES]
    for start, row in zip(range(0, len(view), RECORD_BYTES), _WHOLE.iter_unpack(view), strict=True):
        if row[0] and zlib.crc32(view[start : start + _RECORD.size]) == row[-1]:
            yield row


def _sample(numbers: Sequence[int]) -> Sample:
    """What a record's numbers mean."""
    at, seconds, restarts, a, b, c, d, e, connections, sent, cpu, memory, took, *latency, _ = numbers
    return Sample(
        at, seconds, (a, b, c, d, e), sent, tuple(latency), connections, cpu / 1000, memory << 10, restarts, took / 1000
    )


def pack_totals(totals: Totals) -> bytes:
    """The beginning of a website's file."""
    body = _TOTALS.pack(
        _MAGIC, totals.at, *totals.answers, totals.bytes_out, *totals.latency, totals.latency_seconds,
        totals.cpu_seconds, totals.restarts,
        min(totals.connections, _U32), totals.memory_bytes,
    )  # fmt: skip
    return body + _CRC.pack(zlib.crc32(body))


def unpack_totals(head: bytes) -> Totals | None:
    """What a file's beginning says; None where nothing was written yet, or not as a whole."""
    if len(head) < TOTALS_BYTES or head[: len(_MAGIC)] != _MAGIC:
        return None
    body = head[: _TOTALS.size]
    if zlib.crc32(body) != _CRC.unpack_from(head, _TOTALS.size)[0]:
        return None
    _, at, one, two, three, four, five, sent, *rest = _TOTALS.unpack(body)
    latency, (took, cpu, restarts, connections, memory) = tuple(rest[:BUCKETS]), rest[BUCKETS:]
    return Totals(at, (one, two, three, four, five), sent, latency, took, cpu, restarts, connections, memory)


def parse_counts(text: str) -> tuple[list[str], Mapping[int, Mapping[str, Traffic]]]:
    """What nginx told (ingress/metrics.lua): the keys of its portions, and by interval and log what was counted.

    A portion is what one worker counted in one interval: a line ``@{at}:{worker}:{number}``, then for each log its
    name, requests being served, bytes, answers by class, the histogram, and how long they took together. What can't be
    read is passed over; the line that ends it all is a dot.
    """
    keys: list[str] = []
    found: defaultdict[int, dict[str, Traffic]] = defaultdict(dict)
    at = 0
    for line in text.splitlines():
        if line.startswith("@"):
            keys.append(line[1:])
            began = line[1:].partition(":")[0]
            at = int(began) if began.isdecimal() else 0
            continue
        log, *words = line.split(" ")
        if len(words) != 2 + len(CLASSES) + BUCKETS + 1:
            continue
        try:
            took = max(0.0, float(words.pop()))
            connections, sent, one, two, three, four, five, *latency = (max(0, int(float(word))) for word in words)
        except (ValueError, OverflowError):
            continue
        latest = Traffic((one, two, three, four, five), sent, tuple(latency), took, connections)
        before = found[at].get(log)
        found[at][log] = latest if before is None else together(before, latest)
    return keys, found


def together(first: Traffic, second: Traffic) -> Traffic:
    """What two workers counted of one website in the same interval."""
    one, two, three, four, five = (a + b for a, b in zip(first.answers, second.answers, strict=True))
    return Traffic(
        (one, two, three, four, five),
        first.bytes_out + second.bytes_out,
        tuple(a + b for a, b in zip(first.latency, second.latency, strict=True)),
        first.latency_seconds + second.latency_seconds,
        first.connections + second.connections,
    )
