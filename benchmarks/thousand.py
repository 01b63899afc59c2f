"""A thousand websites known, fifty of them running: what they cost the supervisor, and whether reloads take longer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from statistics import median, quantiles
from time import perf_counter, sleep

import psutil
from tests.platform import wait_for

from benchmarks.reloads100 import reload, wait_over
from benchmarks.report import Row
from benchmarks.stage import ACCOUNT, Stage, another

_KNOWN, _RUNNING, _FEW = 1000, 50, 10
_LIMIT_PERCENT = 0.5
_LIMIT_DIFFERENCE = 0.10
_SETTLE_SECONDS = 10.0
_PAUSE_SECONDS = 1.2
"""A reload within a second of the last one waits a moment, to gather others: here none does."""
_APP = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
"""
# Through control's own services, in one transaction: a thousand calls of the API would take minutes.
_CREATE = """\
import sys

from hereabouts.config import load
from hereabouts.daemons.environ import set_up_django

set_up_django(load())
from django.db import transaction

from hereabouts.control import services

account = services.find_account(sys.argv[1])
with transaction.atomic():
    for number in range(int(sys.argv[2])):
        name = f"known{number}-{account.username}.localhost"
        services.create_website(account, name, {"command": "nothing"}, enabled=False)
"""


def run(stage: Stage) -> list[Row]:
    """Two platforms at once, one with few websites: they meet the same machine, and take turns."""
    running, seconds, count = (5, 15, 3) if stage.quick else (_RUNNING, 90, 21)
    with another(stage) as few, ExitStack() as stack:
        sites = {}
        for each, known, runs in ((few, _FEW, 1), (stage, _KNOWN, running)):
            each.account.write("light.py", _APP)
            sites[each] = stack.enter_context(each.website("reloaded", each.hello()))
            stack.enter_context(_light(each, runs - 1))
            know(each, known - runs)
        stage.say(f"Nothing happens for {seconds} s")
        sleep(_SETTLE_SECONDS)
        idle = _idle([stage, few], seconds)
        times = _reloads(sites, count)
    return [_cpu(idle[0], idle[1], running, seconds), _same(times[stage], times[few], count)]


@contextmanager
def _light(stage: Stage, count: int) -> Iterator[None]:
    """So many websites that run, deleted afterwards."""
    command = f"{stage.binary('uvicorn')} --uds $DOMAIN_SOCKET --lifespan off --no-access-log light:app"
    domains = [stage.domain(f"light{number}") for number in range(count)]
    for number, domain in enumerate(domains):
        if number % 10 == 0:
            stage.say(f"Running website {number + 1} of {count}")
        stage.account.create(command, domain)
    try:
        yield
    finally:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(stage.account.delete, domains))


def know(stage: Stage, count: int, account: str = ACCOUNT) -> None:
    """Have so many more websites, disabled, in an account, and wait until the supervisor has seen to every one."""
    stage.say(f"{count} disabled websites")
    uid = stage.platform.config.control_uid
    subprocess.run(
        [sys.executable, "-c", _CREATE, account, str(count)], env=stage.platform.environ, user=uid, group=uid,
        extra_groups=[], cwd="/", check=True, timeout=120,
    )  # fmt: skip
    routes = stage.platform.config.routes

    def disabled() -> int:
        return sum(path.name.startswith("known") for path in routes.iterdir())

    wait_for(lambda: disabled() >= count, 180, f"{count} disabled websites")


def _idle(stages: list[Stage], seconds: float) -> list[float]:
    """The processor time that each supervisor takes meanwhile, in percent of a core."""
    pids = [each.platform.pids()["supervisor"] for each in stages]
    before, began = [_cpu_seconds(pid) for pid in pids], perf_counter()
    sleep(seconds)
    after, took = [_cpu_seconds(pid) for pid in pids], perf_counter() - began
    return [(end - start) / took * 100 for start, end in zip(before, after, strict=True)]


def _cpu_seconds(pid: int) -> float:
    """utime + stime of a process, and of the children that it has waited for."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def _reloads(sites: dict[Stage, str], count: int) -> dict[Stage, list[float]]:
    """Reload one website on each platform, in turns; the seconds that each call took."""
    times: dict[Stage, list[float]] = {each: [] for each in sites}
    for number in range(count):
        turn = list(sites.items())
        for each, domain in turn if number % 2 else turn[::-1]:
            if number % 5 == 0:
                each.say(f"Reload {number + 1} of {count}")
            times[each].append(reload(each, domain))
            sleep(_PAUSE_SECONDS)
            wait_over(each, domain)
    return times


def _cpu(many: float, few: float, running: int, seconds: float) -> Row:
    return Row(
        f"The supervisor's processor time while nothing happens for {seconds:.0f} s, {_KNOWN:,} websites known and "
        f"{running} running, against {_FEW} and 1 in the same time",
        f"{many:.2f} % of a core",
        f"{few:.2f} % of a core",
        f"{many - few:+.2f} %",
        f"≤ {_LIMIT_PERCENT:g} %",
        many <= _LIMIT_PERCENT,
    )


def _same(many: list[float], few: list[float], count: int) -> Row:
    ratio = median(many) / median(few)
    return Row(
        f"Reload of one FastAPI website with {_KNOWN:,} known, against {_FEW} (medians of {count} each, in turns)",
        _described(many),
        _described(few),
        f"{ratio - 1:+.1%}",
        f"within {_LIMIT_DIFFERENCE:.0%}",
        ratio <= 1 + _LIMIT_DIFFERENCE,
    )


def _described(times: list[float]) -> str:
    low, _, high = quantiles(times, n=4)
    return f"{median(times) * 1000:.0f} ms (middle half {low * 1000:.0f} to {high * 1000:.0f})"
