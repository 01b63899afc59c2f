"""Many certificates that fall due within a short time are all renewed in time, and nothing else notices.

An hour's worth is put into minutes, which is harder. Each of these names is a website's and has a certificate, which
visitors see; thousands of other certificates are not due. Measured beside it, at a steady pace before and meanwhile: a
visitor of a website, and a question to the supervisor; and the processor time of nginx and the supervisor.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median, quantiles

import psutil
from tests import certified

from benchmarks.machine import cpu_seconds
from benchmarks.report import Row
from benchmarks.stage import SETTINGS, Stage
from hereabouts import poke
from hereabouts.errors import PlatformNotRunning

_FULL = (1000, 300.0, 9000)
_QUICK = (60, 20.0, 600)
"""How many certificates, seconds within which they fall due, and how many others there are."""
_BEFORE_SECONDS = 20.0
_PACE_SECONDS = 0.02
_GRACE_SECONDS = 120.0
_LATE_SECONDS = 30.0
"""Of an hour in minutes; in the hour itself there would be more than ten times as long."""
_MS, _P99_MS, _ANSWER_MS = 2.0, 20.0, 50.0
_SITE = "demo.localhost"
_IDLE = """\
import sys, time
import django
django.setup()
from hereabouts.control.models import Certificate
now, day = time.time(), 86400.0
Certificate.objects.bulk_create([
    Certificate(
        name=f"idle{number}.example.net", kind="letsencrypt-auto-renew", issuer="CA", subject="idle", names=["idle"],
        fingerprint="00" * 32, not_before=now - 10 * day, not_after=now + 80 * day, renew_at=now + 50 * day,
        asked_at=now,
    )
    for number in range(int(sys.argv[1]))
])
"""
_DUE = """\
import json, sys
import django
django.setup()
from hereabouts.control.models import Certificate
due = json.load(sys.stdin)
rows = list(Certificate.objects.filter(name__in=list(due)))
for row in rows:
    row.renew_at = due[row.name]
Certificate.objects.bulk_update(rows, ["renew_at"], batch_size=100)
"""


class _Steady(threading.Thread):
    """Does something at a steady pace until ``end``. Times in seconds; ``failed`` is how often it went wrong."""

    def __init__(self, call: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self.times: list[float] = []
        self.failed = 0
        self._call, self._ends = call, threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ends.wait(_PACE_SECONDS):
            began = time.perf_counter()
            try:
                self.failed += not self._call()
            except (OSError, http.client.HTTPException, PlatformNotRunning):
                self.failed += 1
            self.times.append(time.perf_counter() - began)

    def end(self) -> None:
        self._ends.set()
        self.join()

    @property
    def median(self) -> float:
        """In milliseconds."""
        return median(self.times) * 1000

    @property
    def p99(self) -> float:
        """In milliseconds."""
        return quantiles(self.times, n=100)[98] * 1000


def _visit(port: int) -> Callable[[], bool]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def visit() -> bool:
        try:
            connection.request("GET", "/", headers={"Host": _SITE})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        return answer.status == 200

    return visit


def run(stage: Stage) -> list[Row]:
    """Certificates that are about to fall due, then the orders as they come."""
    count, seconds, idle = _QUICK if stage.quick else _FULL
    stage.say("Starting a platform with a certificate authority")
    with certified.staged(settings=SETTINGS, direct=True, PEBBLE_WFE_NONCEREJECT="5") as made:
        names = [f"due{number}.example.org" for number in range(count)]
        stage.say(f"{count} websites get their first certificate")
        first = _have(made, names)
        made.run(_IDLE, str(idle))
        quiet = _measure(made, lambda: time.sleep(_BEFORE_SECONDS))
        due = {name: time.time() + 10 + seconds * number / count for number, name in enumerate(names)}
        stage.say(f"{count} certificates fall due within {seconds:.0f} s, {idle} don't")
        before = len(made.log())
        busy = _measure(made, lambda: _renew(made, due))
        rows = made.rows(*due)
        log = made.log()[before:]
    # Certificates begin at a whole second, so a lag is up to a second more than what is seen.
    renewed = {name: row for name, row in rows.items() if row["fingerprint"] != first[name]}
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
        *_beside(quiet, busy, count),
    ]


def _have(made: certified.Stage, names: list[str]) -> dict[str, str]:
    """Websites with these names, and their first certificates, by fingerprint."""
    made.want(*names)
    deadline = time.monotonic() + 60 + 2 * len(names)
    while True:
        found = {name: row["fingerprint"] for name, row in made.rows(*names).items()}
        if all(found.values()):
            return found
        assert time.monotonic() < deadline, "the first certificates did not come"
        time.sleep(1)


def _renew(made: certified.Stage, due: dict[str, float]) -> None:
    made.run(_DUE, stdin=json.dumps(due))
    last = max(due, key=lambda name: due[name])
    former, deadline = made.fingerprint(last), due[last] + _GRACE_SECONDS
    while time.time() < due[last] or (made.fingerprint(last) == former and time.time() < deadline):
        time.sleep(0.5)
    while made.ask("status")["orders"] and time.time() < deadline:
        time.sleep(0.5)


@dataclass
class _Measured:
    seconds: float
    visitor: _Steady
    question: _Steady
    cores: dict[str, float]


def _measure(made: certified.Stage, call: Callable[[], None]) -> _Measured:
    """What a visitor, who asks the supervisor, and the processes see while something is done."""
    config, pids = made.platform.config, made.platform.pids()
    before = {name: _cpu(name, pid) for name, pid in pids.items()}
    visitor = _Steady(_visit(made.platform.http))
    question = _Steady(lambda: poke.ask(config.supervisor_socket, f"hold {_SITE} 1 {time.time()}", seconds=30) == "go")
    began = time.monotonic()
    call()
    took = time.monotonic() - began
    visitor.end()
    question.end()
    assert made.platform.pids() == pids, "a process was started again"
    cores = {name: (_cpu(name, pid) - before[name]) / took for name, pid in pids.items()}
    return _Measured(took, visitor, question, cores)


def _cpu(name: str, pid: int) -> float:
    """Processor time: nginx's with its workers, of the others without the websites that they started."""
    if name == "nginx":
        return cpu_seconds(pid)
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _beside(quiet: _Measured, busy: _Measured, count: int) -> Iterator[Row]:
    each = {name: (busy.cores[name] - quiet.cores[name]) * busy.seconds / count * 1000 for name in busy.cores}
    shown = ", ".join(f"{name} {each[name]:+.1f}" for name in ("nginx", "supervisor", "certificates"))
    before, now = quiet.visitor, busy.visitor
    more, late = now.median - before.median, now.p99 - before.p99
    yield Row(
        "a visitor of a website meanwhile, at 50 requests a second: median and 99th percentile",
        f"{now.median:.1f} ms, p99 {now.p99:.1f} ms, {now.failed} of {len(now.times)} failed",
        f"{before.median:.1f} ms, p99 {before.p99:.1f} ms before",
        f"{more:+.1f} ms, p99 {late:+.1f} ms; ms of processor time a certificate: {shown}",
        f"≤ +{_MS:.0f} ms, p99 ≤ +{_P99_MS:.0f} ms, none failed",
        more <= _MS and late <= _P99_MS and now.failed == 0,
    )
    before, now = quiet.question, busy.question
    yield Row(
        "the supervisor's answer to nginx (`hold`) meanwhile, 50 times a second",
        f"{now.median:.1f} ms, p99 {now.p99:.1f} ms, {now.failed} of {len(now.times)} failed",
        f"{before.median:.1f} ms, p99 {before.p99:.1f} ms before",
        f"{now.median - before.median:+.1f} ms, p99 {now.p99 - before.p99:+.1f} ms",
        f"p99 ≤ {_ANSWER_MS:.0f} ms, none failed",
        now.p99 <= _ANSWER_MS and now.failed == 0,
    )
