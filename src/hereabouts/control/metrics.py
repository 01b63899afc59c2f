"""What was counted of websites, read out of the files that the supervisor writes (core/metrics.py)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from hereabouts.core import metrics
from hereabouts.core.metrics import COARSE, FINE, Ring, Sample, Totals
from hereabouts.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Period:
    """How far back to look, in steps of how many seconds, and where that is kept."""

    seconds: int
    step: int
    ring: Ring


PERIODS: Mapping[str, Period] = {
    "hour": Period(3600, 20, FINE),
    "day": Period(86_400, 480, FINE),
    "week": Period(604_800, 3600, COARSE),
    "month": Period(2_592_000, 14_400, COARSE),
}
LATELY_STEPS = 12
"""Steps of five minutes that make an hour."""


def window(period: str, now: float, merged: int = 1) -> tuple[int, int, int]:
    """From when to when a period goes, and its step, in seconds; the last step is under way. Raises InvalidInput.

    So many steps are ``merged`` to one.
    """
    found = PERIODS.get(period)
    if found is None:
        raise InvalidInput("period", f"Give {', '.join(list(PERIODS)[:-1])} or {list(PERIODS)[-1]}.")
    step = found.step * merged
    end = int(now) - int(now) % step + step
    return end - found.seconds, end, step


def read(website_id: int, period: str, now: float | None = None, merged: int = 1) -> list[Sample]:
    """What was counted until ``now``, at most 180 points, oldest first; those without anything are left out.

    Raises InvalidInput.
    """
    begin, end, step = window(period, time.time() if now is None else now, merged)
    records = _read(_path(website_id), PERIODS[period].ring.spans(begin, end))
    return metrics.points(records, begin, end, step)


def totals(website_id: int) -> Totals | None:
    """All that was ever counted of a website; None where that is nothing."""
    return metrics.unpack_totals(_read(_path(website_id), [(0, metrics.TOTALS_BYTES)]))


def requests_lately(website_ids: Iterable[int], now: float | None = None) -> dict[int, list[int]]:
    """Requests in each five minutes of the last hour, oldest first, of those of the websites that had any.

    It is made for lists: a website that nothing was written of for an hour is not looked at.
    """
    moment = time.time() if now is None else now
    last = COARSE.begin(int(moment))
    begin = last - (LATELY_STEPS - 1) * COARSE.step
    spans = COARSE.spans(begin, last + COARSE.step)
    recent = _written_since(begin)
    found: dict[int, list[int]] = {}
    for number in website_ids:
        if number not in recent:
            continue
        counts = [0] * LATELY_STEPS
        for sample in metrics.samples(_read(_path(number), spans)):
            if begin <= sample.at <= last:
                counts[(sample.at - begin) // COARSE.step] += sum(sample.answers)
        if any(counts):
            found[number] = counts
    return found


def _written_since(moment: float) -> set[int]:
    try:
        with os.scandir(settings.CONFIG.metrics) as entries:
            return {int(e.name) for e in entries if e.name.isdecimal() and e.stat().st_mtime >= moment}
    except OSError:
        return set()


def _path(website_id: int) -> Path:
    path: Path = settings.CONFIG.metrics / str(website_id)
    return path


def _read(path: Path, spans: Iterable[tuple[int, int]]) -> bytes:
    """These parts of a file, one behind the other, zeros where it ends; nothing of a file that is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return b"".join(os.pread(descriptor, length, offset).ljust(length, b"\0") for offset, length in spans)
    finally:
        os.close(descriptor)
