"""Reloads under full load: what fails, and the longest that a client waits."""

from __future__ import annotations

from statistics import median
from time import perf_counter, sleep

from benchmarks.load import Load
from benchmarks.report import Row
from benchmarks.stage import Stage

_CLIENTS = 32
_PAUSE_SECONDS = 0.5


def run(stage: Stage) -> list[Row]:
    """The same GETs and POSTs for a few seconds in peace, then through the reloads."""
    count = 5 if stage.quick else 20
    times = []
    with stage.website("reload", stage.hello()) as domain:
        peace = Load(stage.platform.http, domain, clients=_CLIENTS, seconds=4, mixed=True).result()
        load = Load(stage.platform.http, domain, clients=_CLIENTS, seconds=240, mixed=True)
        try:
            sleep(1)
            for number in range(count):
                stage.say(f"Reload {number + 1} of {count}")
                began = perf_counter()
                answer = stage.account.call("POST", f"{domain}/reload/")
                assert answer.status_code == 200, answer.text
                times.append(perf_counter() - began)
                sleep(_PAUSE_SECONDS)
        finally:
            result = load.stop()
    return [
        Row(
            f"{count} reloads under full load, GET and POST with 4 kB, {_CLIENTS} keep-alive clients, against none",
            f"{result.failed} failed of {result.requests:,} ({result.rate:,.0f}/s), longest stall "
            f"{result.longest:.0f} ms, a reload {median(times):.2f} s",
            f"{peace.failed} failed of {peace.requests:,} ({peace.rate:,.0f}/s), longest stall {peace.longest:.0f} ms",
            f"{result.failed - peace.failed:+d} failed, {result.longest - peace.longest:+.0f} ms",
            "0 failed",
            result.failed == 0,
        )
    ]
