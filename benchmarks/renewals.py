"""Many certificates that fall due within a short time are all renewed in time, and nothing else notices.

An hour's worth is put into minutes, which is harder. Measured beside it: a visitor of a website, who sends requests at
a steady pace before and meanwhile, and the processor time of nginx and the supervisor.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from statistics import median, quantiles

import psutil
from tests import certified

from benchmarks.machine import cpu_seconds
from benchmarks.report import Row
from benchmarks.stage import SETTINGS, Stage

_FULL = (1000, 300.0)
_QUICK = (60, 20.0)
"""How many certificates, and seconds within which they fall due."""
_BEFORE_SECONDS = 20.0
_PACE_SECONDS = 0.02
_LIFE = 90 * 86_400.0
_GRACE_SECONDS = 120.0
_LATE_SECONDS = 30.0
"""Of an hour in minutes; in the hour itself there would be more than ten times as long."""
_MS = 2.0
_SITE = "demo.localhost"
_DUE = """\
import json, sys
import django
django.setup()
from hereabouts.control.models import Certificate
life = float(sys.argv[1])
Certificate.objects.bulk_create([
    Certificate(
        name=name, kind="letsencrypt-auto-renew", issuer="Pebble", subject=name, names=[name], fingerprint="00" * 32,
        not_before=due - life * 2 / 3, not_after=due + life / 3, renew_at=due, asked_at=due,
    )
    for name, due in json.load(sys.stdin).items()
])
"""


@dataclass
class _Visitor(threading.Thread):
    """Asks a website for a page at a steady pace. Times in seconds."""

    port: int
    times: list[float] = field(default_factory=list)
    failed: int = 0
    ends: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.ends.wait(_PACE_SECONDS):
            began = time.perf_counter()
            try:
                connection.request("GET", "/", headers={"Host": _SITE})
                answer = connection.getresponse()
                answer.read()
                self.failed += answer.status != 200
            except (OSError, http.client.HTTPException):
                connection.close()
                self.failed += 1
            self.times.append(time.perf_counter() - began)

    __hash__ = threading.Thread.__hash__


def run(stage: Stage) -> list[Row]:
    """Rows of certificates that are about to fall due, then the orders as they come."""
    count, seconds = _QUICK if stage.quick else _FULL
    stage.say("Starting a platform with a certificate authority")
    with certified.staged(settings=SETTINGS, direct=True, PEBBLE_WFE_NONCEREJECT="5") as made:
        made.want("warm.example.org")
        made.issue("warm.example.org")
        quiet = _measure(made, lambda: time.sleep(_BEFORE_SECONDS))
        due = {f"due{number}.example.org": time.time() + 5 + seconds * number / count for number in range(count)}
        stage.say(f"{count} certificates fall due within {seconds:.0f} s")
        busy = _measure(made, lambda: _renew(made, due))
        rows = made.rows(*due)
        log = made.log()
    # Certificates begin at a whole second, so a lag is up to a second more than what is seen.
    renewed = {name: row for name, row in rows.items() if row["fingerprint"] != "00" * 32}
    lags = [max(0.0, row["not_before"] - due[name]) for name, row in renewed.items()]
    failures = log.count("No certificate for due") + log.count("could not be renewed")
    good = len(lags) == count and failures == 0 and max(lags) <= _LATE_SECONDS
    return [
        Row(
            f"{count} certificates that fall due within {seconds:.0f} s (an hour's, {3600 / seconds:.0f} times as "
            "fast), renewed by Pebble, which refuses 5 % of nonces",
            f"{len(lags)} renewed, {failures} orders failed",
            f"due until {seconds:.0f} s, done after {busy.seconds:.0f} s",
            f"{median(lags):.1f} s after it was due (median), {max(lags):.1f} s at most" if lags else "none",
            f"all, none failed, none {_LATE_SECONDS:.0f} s late",
            good,
        ),
        _beside(quiet, busy, count),
    ]


def _renew(made: certified.Stage, due: dict[str, float]) -> None:
    made.run(_DUE, str(_LIFE), stdin=json.dumps(due))
    deadline = max(due.values()) + _GRACE_SECONDS
    last = max(due, key=lambda name: due[name])
    while time.time() < max(due.values()) or (not made.certified(last) and time.time() < deadline):
        time.sleep(0.5)
    while made.ask("status")["orders"] and time.time() < deadline:
        time.sleep(0.5)


@dataclass
class _Measured:
    seconds: float
    times: list[float]
    failed: int
    cores: dict[str, float]


def _measure(made: certified.Stage, call) -> _Measured:  # type: ignore[no-untyped-def]
    """What a visitor and the processes see while something is done."""
    pids = made.platform.pids()
    before = {name: _cpu(name, pid) for name, pid in pids.items()}
    visitor = _Visitor(made.platform.http)
    visitor.start()
    began = time.monotonic()
    call()
    took = time.monotonic() - began
    visitor.ends.set()
    visitor.join()
    assert made.platform.pids() == pids, "a process was started again"
    cores = {name: (_cpu(name, pid) - before[name]) / took for name, pid in pids.items()}
    return _Measured(took, visitor.times, visitor.failed, cores)


def _cpu(name: str, pid: int) -> float:
    """Processor time: nginx's with its workers, of the others without the websites that they started."""
    if name == "nginx":
        return cpu_seconds(pid)
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _beside(quiet: _Measured, busy: _Measured, count: int) -> Row:
    before, meanwhile = median(quiet.times) * 1000, median(busy.times) * 1000
    each = {name: (busy.cores[name] - quiet.cores[name]) * busy.seconds / count * 1000 for name in busy.cores}
    shown = ", ".join(f"{name} {each[name]:+.1f}" for name in ("nginx", "supervisor", "certificates"))
    return Row(
        "a visitor of a website meanwhile, at 50 requests a second: median and 99th percentile",
        f"{meanwhile:.1f} ms, p99 {_p99(busy.times):.1f} ms, {busy.failed} of {len(busy.times)} failed",
        f"{before:.1f} ms, p99 {_p99(quiet.times):.1f} ms before",
        f"{meanwhile - before:+.1f} ms; ms of processor time a certificate: {shown}",
        f"≤ +{_MS:.0f} ms, none failed",
        meanwhile - before <= _MS and busy.failed == 0,
    )


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98] * 1000
