"""A hundred websites: each answers at once, and what the platform itself takes for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import perf_counter

import psutil
from tests.platform import wait_for

from benchmarks.report import Row
from benchmarks.stage import Stage
from hereabouts.supervisor import procfs

_LIMIT_MB = 200
_APP = """\
import os

NAME = os.environ["DOMAIN_SOCKET"].split("/")[-2].encode()


async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": NAME})
"""


def run(stage: Stage) -> list[Row]:
    """Create them one after the other, visit each the instant its POST returns, weigh the platform."""
    stage.account.write("named.py", _APP)
    command = f"{stage.binary('uvicorn')} --uds $DOMAIN_SOCKET --lifespan off named:app"
    count = 20 if stage.quick else 100
    domains = [stage.domain(f"s{number}") for number in range(1, count + 1)]
    answered, times, one = 0, [], {}
    for number, domain in enumerate(domains, 1):
        if number % 10 == 1:
            stage.say(f"Website {number} of {count}")
        began = perf_counter()
        stage.account.create(command, domain)
        answer = stage.platform.visit(domain)
        times.append(perf_counter() - began)
        answered += answer.status_code == 200 and answer.text == domain
        if number == 1:
            one = weigh(stage)
    again = sum(stage.platform.visit(domain).text == domain for domain in domains)
    many = weigh(stage)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(stage.account.delete, domains))
    wait_for(lambda: not list(stage.platform.config.instances.iterdir()), 60, "the end of all websites")
    return [
        Row(
            f"{count} websites created one after the other, each visited the instant its POST returns",
            f"{answered} × the website's own answer, {median(times) * 1000:.0f} ms each",
            f"{again} × when visited again",
            f"{answered - count:+d}",
            f"{count} ×",
            answered == again == count,
        ),
        _memory(one, many, count),
    ]


def _memory(one: dict[str, int], many: dict[str, int], count: int) -> Row:
    first, last = sum(one.values()), sum(many.values())
    growth = (last - first) / (count - 1)
    return Row(
        f"Memory of the platform itself (PSS) with {count} websites against 1",
        _megabytes(many),
        _megabytes(one),
        f"{growth / 1024:+.0f} kB a website",
        f"≤ {_LIMIT_MB} MB",
        max(first, last) <= _LIMIT_MB << 20,
    )


def _megabytes(parts: dict[str, int]) -> str:
    each = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in parts.items())
    return f"{sum(parts.values()) / 2**20:.0f} MB ({each})"


def weigh(stage: Stage) -> dict[str, int]:
    """The memory of each of the platform's processes with what it started, sandboxes left out, in bytes (PSS)."""
    pids = stage.platform.pids()
    mark = f"/hereabouts-{stage.platform.config.tag}/"
    weights = {}
    for name, pid in pids.items():
        family = [pid] if name == "up" else procfs.descendants(pid)  # the others are children of `up`
        weights[name] = sum(_pss(process) for process in family if mark not in _groups(process))
    return weights


def _groups(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    return ""


def _pss(pid: int) -> int:
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_full_info().pss)
    return 0
