"""A hundred reloads under full load: what fails, and how long the most unlucky client waits, against none.

A young CPython process stops for its own garbage collector, which one that has served for long does not. So all is
measured twice: as it comes, and with a website that calls gc.freeze() after its imports, where such stops are short.
"""

from __future__ import annotations

import socket
from statistics import median, quantiles
from time import perf_counter, sleep

from tests.platform import free_port, wait_for

from benchmarks.crowd import Crowd, Seen, Span, crowd
from benchmarks.machine import running
from benchmarks.report import Row
from benchmarks.stage import Stage

CLIENTS = 32
_BLOCK = 10
_LONGEST_SECONDS = 720.0
_LIMIT_TIMES = 2.0


def run(stage: Stage) -> list[Row]:
    """Ten reloads, then as long without, and again: the same clients, and what the machine does beside meets both.

    Each reload is called for once the one before is over, its old process ended.
    """
    stage.account.write("frozen.py", "import gc\n\nfrom hello import app\n\ngc.collect()\ngc.freeze()\n")
    return [*as_it_comes(stage), *frozen(stage)]


def as_it_comes(stage: Stage) -> list[Row]:
    """With the website that others are measured with, too."""
    return _measure(stage, stage.hello(), "one process")


def frozen(stage: Stage) -> list[Row]:
    """With one that spares its collector what stays for good."""
    return _measure(stage, stage.hello().replace("hello:app", "frozen:app"), "one process with gc.freeze()")


def _measure(stage: Stage, command: str, what: str) -> list[Row]:
    wanted, requests = (10, 0) if stage.quick else (100, 200_000)
    with (
        stage.website("hundred", command) as domain,
        crowd(stage.platform.http, domain, clients=CLIENTS) as visitors,
    ):
        reloading, peace, times = _blocks(stage, domain, visitors, wanted, requests)
        seen = visitors.stop()
    during, without = seen.waits(reloading, touching=True), seen.waits(peace, touching=False)
    fresh = [_fresh(stage) for _ in range(3 if stage.quick else 15)]
    return [
        _failures(seen, during, times, wanted, requests, what),
        _stalls(reloading, during, without, fresh, len(times), what),
    ]


def _blocks(
    stage: Stage, domain: str, visitors: Crowd, wanted: int, requests: int
) -> tuple[list[Span], list[Span], list[float]]:
    """The stretches with reloads, those without, and how long each reload took."""
    reloading: list[Span] = []
    peace: list[Span] = []
    times: list[float] = []
    deadline = perf_counter() + _LONGEST_SECONDS
    met = 0  # requests while there are reloads
    while (len(times) < wanted or met < requests) and perf_counter() < deadline:
        stage.say(f"Reload {len(times) + 1} of {wanted}, request {met:,} of {requests:,}")
        began, before = perf_counter(), visitors.requests
        for _ in range(_BLOCK):
            times.append(reload(stage, domain))
            wait_over(stage, domain)
        reloading.append(Span(began, perf_counter()))
        met += visitors.requests - before
        sleep(perf_counter() - began)
        peace.append(Span(reloading[-1].end, perf_counter()))
    return reloading, peace, times


def reload(stage: Stage, domain: str) -> float:
    """Reload a website; the seconds until the answer."""
    began = perf_counter()
    answer = stage.account.call("POST", f"{domain}/reload/")
    assert answer.status_code == 200, answer.text
    return perf_counter() - began


def wait_over(stage: Stage, domain: str) -> None:
    """Wait until the processes from before a website's reload have ended."""
    wait_for(lambda: instances(stage, domain) == 1, 60, "the end of the old processes")


def instances(stage: Stage, domain: str) -> int:
    """How many processes a website has, those that drain included."""
    current = str((stage.platform.config.routes / domain).readlink()).split("-")[0]
    return sum(path.name.split("-")[0] == current for path in stage.platform.config.instances.iterdir())


def _failures(seen: Seen, during: list[float], times: list[float], wanted: int, requests: int, what: str) -> Row:
    answered, failed = len(seen.sent), len(seen.failures)
    seconds = seen.answered[-1] - seen.sent[0]
    first = f"; the first: {seen.failures[0][1]}" if failed else ""
    return Row(
        f"{len(times)} reloads under full load, GET and POST with 4 kB, {CLIENTS} keep-alive clients, {what}",
        f"{failed} failed of {answered + failed:,} ({answered / seconds:,.0f}/s), {len(during):,} during reloads"
        f"{first}",
        f"a reload {median(times):.2f} s (longest {max(times):.2f} s)",
        f"{failed:+d} failed",
        f"0 failed of ≥ {requests:,} in ≥ {wanted} reloads",
        not failed and len(during) >= requests and len(times) >= wanted,
    )


def _fresh(stage: Stage) -> float:
    """The longest that such clients wait in the first second of a bare process that has just been started."""
    port = free_port()
    environ = {"HOME": str(stage.account.home), "PATH": "/usr/bin:/bin"}
    with running(
        stage.bare("--port", str(port), "hello:app"),
        log=stage.scratch / "fresh.log", uid=stage.uid, cwd=stage.account.home, environ=environ,
    ):  # fmt: skip
        wait_for(lambda: _listens(port), 30, "a bare server")
        with crowd(port, "bare", clients=CLIENTS) as visitors:
            sleep(1)
            seen = visitors.stop()
    return max(seen.waits([Span(seen.sent[0], seen.sent[0] + 1)], touching=True))


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _stalls(
    reloading: list[Span], during: list[float], without: list[float], fresh: list[float], count: int, what: str
) -> Row:
    ratio = max(during) / max(without)
    return Row(
        f"The longest stall of any client in {count} reloads of {what}, against its longest in as long without, "
        f"in turns of {median(span.end - span.start for span in reloading):.0f} s",
        _described(during),
        f"{_described(without)}. A bare process's own first second: {median(fresh) * 1000:.0f} ms (median of "
        f"{len(fresh)} starts, longest {max(fresh) * 1000:.0f} ms)",
        f"{ratio:.2f} ×",
        f"≤ {_LIMIT_TIMES:g} ×",
        ratio <= _LIMIT_TIMES,
    )


def _described(waits: list[float]) -> str:
    parts = quantiles(waits, n=1000)
    five = ", ".join(f"{wait * 1000:.0f}" for wait in sorted(waits)[:-6:-1])
    return (
        f"{max(waits) * 1000:.0f} ms (the five longest {five}; p99.9 {parts[998] * 1000:.0f}, median "
        f"{median(waits) * 1000:.0f} ms; {len(waits):,} requests)"
    )
