"""Charts as SVG, made here: thin lines over a quiet grid, few ticks, gaps where nothing is known, a table behind each.

A chart is as wide as its place, and its text as large as the page's: lines are drawn in a box that is stretched, text
and grid are placed in shares of the width (templates/dashboard/_chart.html).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hereabouts.control import metrics
from hereabouts.core.metrics import CLASSES, Sample, quantile

WIDTH, HEIGHT = 1000, 140
"""The box of the lines; the height is also that in pixels."""
_MERGED = 2
"""So many points are one in a website's charts, whose lines are not wider than that."""
_SPARK_WIDTH, _SPARK_HEIGHT = 96, 24
_DAY = 86_400
_TIME_STEPS = (60, 300, 900, 3600, 10_800, 21_600, 43_200, _DAY, 2 * _DAY, 7 * _DAY)
_MOST_TIMES = 5
_MOST_LINES = 4
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)

Scale = tuple[float, str]
"""What numbers are divided by, and the word behind them."""


@dataclass(frozen=True, slots=True)
class Unit:
    """How numbers are written; ``scale`` is chosen by the largest of them."""

    scale: Callable[[float], Scale]

    def text(self, value: float) -> str:
        """One number by itself."""
        divisor, word = self.scale(value)
        return _digits(value / divisor) + word


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a number, or None where nothing is known, for each time of the chart.

    ``kind`` is its class in style.css: mark, good, info, warn, bad; first, second, third. What is ``rare`` is drawn
    only where it is a pixel high: along the base it would look like something that is always there.
    """

    name: str
    kind: str
    values: Sequence[float | None]
    rare: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A series as it is drawn. ``area`` is the path of what is below it, empty where that is not to be filled."""

    name: str
    kind: str
    path: str
    area: str
    latest: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, in the box or in percent of the width, and what is written there."""

    at: str
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that the template needs. ``rows`` are the times with the numbers of all lines."""

    title: str
    summary: str
    lines: tuple[Line, ...]
    times: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line for a list, with what it says in words."""

    label: str
    path: str
    area: str
    width: int = _SPARK_WIDTH
    height: int = _SPARK_HEIGHT


def _plain(highest: float) -> Scale:
    return (1.0, "")


def _rate(highest: float) -> Scale:
    return (1000.0, " k/s") if highest >= 10_000 else (1.0, "/s")


def _seconds(highest: float) -> Scale:
    return (1.0, " s") if highest >= 1 else (0.001, " ms")


def _bytes(highest: float) -> Scale:
    names = (" B", " kB", " MB", " GB", " TB")
    power = min(int(math.log2(highest) // 10), len(names) - 1) if highest >= 1 else 0
    return (float(1 << 10 * power), names[power])


def _byte_rate(highest: float) -> Scale:
    divisor, word = _bytes(highest)
    return (divisor, f"{word}/s")


def _percent(highest: float) -> Scale:
    return (0.01, " %")


COUNT, RATE, SECONDS, BYTES, BYTE_RATE, PERCENT = map(Unit, (_plain, _rate, _seconds, _bytes, _byte_rate, _percent))


def line_chart(
    title: str, times: Sequence[int], series: Sequence[Series], *, begin: int, end: int, step: int, unit: Unit
) -> Chart:
    """A chart of ``series`` from ``begin`` to ``end``, in seconds since the epoch; ``times`` are those of the values.

    Two values further apart than ``step`` seconds have a gap between them.
    """
    highest = max((value for each in series for value in each.values if value is not None), default=0.0)
    top, levels = _levels(highest, unit)
    lines, said = [], []
    for number, each in enumerate(series):
        runs = _runs(times, _seen(each.values, top / HEIGHT) if each.rare else each.values, step)
        placed = [[_place(at, value, begin, end, top) for at, value in run] for run in runs]
        known = [value for value in each.values if value is not None]
        latest = unit.text(known[-1]) if known else "–"
        name = f"{each.name} " if len(series) > 1 else ""
        said.append(f"{name}latest {latest}, at most {unit.text(max(known))}" if known else f"{name}unknown")
        lines.append(Line(each.name, each.kind, _path(placed), "" if number else _area(placed, HEIGHT), latest))
    form = "%H:%M:%S" if step < 60 else "%H:%M" if end - begin <= 2 * _DAY else "%-d %b %H:%M"
    rows = tuple(
        (_moment(at, form), *("–" if value is None else unit.text(value) for value in values))
        for at, *values in zip(times, *(each.values for each in series), strict=True)
    )
    summary = "; ".join(said) if rows else "nothing was counted"
    headers = ("Time (UTC)", *(each.name for each in series))
    return Chart(title, summary, tuple(lines), _times(begin, end), levels, headers, rows)


def sparkline(values: Sequence[float], label: str) -> Sparkline:
    """A small line of evenly spread values, with what it says in words."""
    highest = max(values, default=0.0) or 1.0
    last = max(1, len(values) - 1)
    spread = [
        (number / last * _SPARK_WIDTH, _SPARK_HEIGHT - 2 - value / highest * (_SPARK_HEIGHT - 4))
        for number, value in enumerate(values)
    ]
    placed = [[f"{x:.3g} {y:.3g}" for x, y in spread]] if spread else []
    return Sparkline(label, _path(placed), _area(placed, _SPARK_HEIGHT))


def of_website(website_id: int, period: str, now: float) -> list[Chart]:
    """The charts of one website until ``now``. Raises InvalidInput for an unknown period."""
    begin, end, step = metrics.window(period, now, _MERGED)
    samples = metrics.read(website_id, period, now, _MERGED)
    times = [sample.at for sample in samples]

    def chart(title: str, series: Sequence[Series], unit: Unit) -> Chart:
        return line_chart(title, times, series, begin=begin, end=end, step=step, unit=unit)

    def one(title: str, unit: Unit, value: Callable[[Sample], float | None], name: str = "") -> Chart:
        return chart(title, [Series(name or title, "mark", [value(sample) for sample in samples])], unit)

    return [
        chart("Requests", _by_class(samples), RATE),
        chart("Time to answer", _by_share(samples), SECONDS),
        one("Being served", COUNT, lambda sample: sample.connections, "Requests at a time"),
        one("Sent", BYTE_RATE, lambda sample: sample.bytes_out / max(1, sample.seconds)),
        one("Processor", PERCENT, lambda sample: sample.cpu_seconds / max(1, sample.seconds), "Of one core"),
        one("Memory", BYTES, lambda sample: sample.memory_bytes or None),
        one("Restarts", COUNT, lambda sample: sample.restarts, "Started again by itself"),
    ]


def _by_class(samples: Iterable[Sample]) -> list[Series]:
    """Answers a second by class of status; of the classes that none has, only the good one is shown."""
    rates = [[count / max(1, sample.seconds) for count in sample.answers] for sample in samples]
    kinds = dict(zip(CLASSES, ("second", "good", "info", "warn", "bad"), strict=True))
    found = []
    for name in ("2xx", "3xx", "4xx", "5xx", "1xx"):
        values = [rate[CLASSES.index(name)] for rate in rates]
        if name == "2xx" or any(values):
            found.append(Series(name, kinds[name], values, rare=name != "2xx"))
    return found


def _by_share(samples: Sequence[Sample]) -> list[Series]:
    kinds = {50: "first", 95: "second", 99: "third"}
    return [
        Series(f"p{share}", kind, [quantile(sample.latency, share / 100) for sample in samples])
        for share, kind in kinds.items()
    ]


def _levels(highest: float, unit: Unit) -> tuple[float, tuple[Tick, ...]]:
    """The number at the top of the chart, and the grid's lines from 0 up to it."""
    divisor, word = unit.scale(highest)
    wanted = highest / divisor / _MOST_LINES or 1.0
    base = 10.0 ** math.floor(math.log10(wanted))
    step = next(nice * base for nice in _NICE if nice * base >= wanted * 0.999999)
    count = max(1, math.ceil(highest / divisor / step - 1e-6)) if highest else 1
    ticks = tuple(
        Tick(f"{HEIGHT - number / count * HEIGHT:.4g}", _digits(number * step) + (word if number else ""))
        for number in range(count + 1)
    )
    return count * step * divisor, ticks


def _times(begin: int, end: int) -> tuple[Tick, ...]:
    step = next((each for each in _TIME_STEPS if (end - begin) / each <= _MOST_TIMES), _TIME_STEPS[-1])
    form = "%-d %b" if step >= _DAY else "%H:%M"
    found = []
    for at in range(begin - begin % step + step, end, step):
        share = (at - begin) / (end - begin) * 100
        if 3 <= share <= 96:
            found.append(Tick(f"{share:.4g}%", _moment(at, form)))
    return tuple(found)


def _runs(times: Sequence[int], values: Sequence[float | None], step: int) -> list[list[tuple[int, float]]]:
    """The values in runs without a gap."""
    runs: list[list[tuple[int, float]]] = []
    last: int | None = None
    for at, value in zip(times, values, strict=True):
        if value is None:
            last = None
            continue
        if last is None or at - last > step:
            runs.append([])
        runs[-1].append((at, value))
        last = at
    return runs


def _seen(values: Sequence[float | None], least: float) -> list[float | None]:
    """The values without those that are less than ``least``, as are both beside them."""
    high = [value is not None and value >= least for value in values]
    around = zip([False, *high[:-1]], high, [*high[1:], False], strict=True)
    return [value if any(each) else None for value, each in zip(values, around, strict=True)]


def _place(at: int, value: float, begin: int, end: int, top: float) -> str:
    x = (at - begin) / (end - begin) * WIDTH
    return f"{x:.4g} {HEIGHT - value / top * HEIGHT:.4g}"


def _path(runs: Iterable[Sequence[str]]) -> str:
    """A line through each run; one place alone becomes a dot."""
    return "".join(f"M{'L'.join(run)}" if len(run) > 1 else f"M{run[0]}h0" for run in runs)


def _area(runs: Iterable[Sequence[str]], bottom: int) -> str:
    return "".join(
        f"M{run[0].split()[0]} {bottom}L{'L'.join(run)}L{run[-1].split()[0]} {bottom}Z" for run in runs if len(run) > 1
    )


def _digits(value: float) -> str:
    """Three digits that count, and no more behind the point than are needed."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 else "0"


def _moment(at: int, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)
