"""How long the slowest of many clients wait, against the bare process."""

from __future__ import annotations

from statistics import median

from benchmarks import baselines
from benchmarks.report import Row
from benchmarks.stage import Stage
from benchmarks.visitors import Visit, visit

_CLIENTS = 256
_BODY = b'{"message":"Hello from FastAPI"}'


def run(stage: Stage) -> list[Row]:
    """The ingress and the bare process in turn, with as many clients each."""
    seconds = 2 if stage.quick else 3
    ours, bare = [], []
    with stage.website("hello", stage.hello()) as domain, baselines.bare(stage) as port:
        for number in range(stage.rounds):
            stage.say(f"Latency with {_CLIENTS} clients, round {number + 1} of {stage.rounds}")
            ours.append(visit(stage.platform.http, domain, _BODY, clients=_CLIENTS, seconds=seconds))
            bare.append(visit(port, domain, _BODY, clients=_CLIENTS, seconds=seconds))
    ratio = median(a.p99 / b.p99 for a, b in zip(ours, bare, strict=True))
    return [
        Row(
            f"p99 with {_CLIENTS} keep-alive clients against the bare process",
            _told(ours),
            _told(bare),
            f"{ratio:.2f}",
            "≤ 1.25",
            ratio <= 1.25,
        )
    ]


def _told(visits: list[Visit]) -> str:
    p50, p99 = median(v.p50 for v in visits), median(v.p99 for v in visits)
    rush, rate = median(v.rush for v in visits), median(v.rate for v in visits)
    return f"p99 {p99:.0f} ms, p50 {p50:.0f} ms, {rate:,.0f} requests/s; all had a first answer after {rush:.1f} s"
