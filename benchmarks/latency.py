"""How long the slowest of many clients wait, against the bare process."""

from __future__ import annotations

from statistics import median

from benchmarks import baselines, load
from benchmarks.report import Row
from benchmarks.stage import Stage

_CLIENTS = 256


def run(stage: Stage) -> list[Row]:
    """The ingress and the bare process in turn, with as many clients each."""
    seconds = 3 if stage.quick else 5
    ours, bare = [], []
    with stage.website("hello", stage.hello()) as domain, baselines.bare(stage) as port:
        for each in (stage.platform.http, port):
            load.run(each, domain, clients=_CLIENTS, seconds=1)
        for number in range(stage.rounds):
            stage.say(f"Latency with {_CLIENTS} clients, round {number + 1} of {stage.rounds}")
            ours.append(load.run(stage.platform.http, domain, clients=_CLIENTS, seconds=seconds))
            bare.append(load.run(port, domain, clients=_CLIENTS, seconds=seconds))
    ratio = median(a.p99 / b.p99 for a, b in zip(ours, bare, strict=True))

    def told(results: list[load.Result]) -> str:
        p50, p99 = median(r.p50 for r in results), median(r.p99 for r in results)
        return f"p99 {p99:.0f} ms (p50 {p50:.0f} ms, {median(r.rate for r in results):,.0f} requests/s)"

    return [
        Row(
            f"p99 with {_CLIENTS} keep-alive clients against the bare process",
            told(ours),
            told(bare),
            f"{ratio:.2f}",
            "≤ 1.25",
            ratio <= 1.25,
        )
    ]
