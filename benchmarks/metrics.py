"""What counting costs: the ingress as it is, and the same without its counting, in turns."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
from tests.platform import free_port

from benchmarks import load
from benchmarks.machine import cpu_seconds, program, running, wait_port
from benchmarks.report import Row
from benchmarks.stage import Stage
from hereabouts.files import directory

_CLIENTS = 32
_SECONDS = 2
_LIMIT = 0.02
_COUNTING = (
    ("nginx.conf", "log_by_lua_block { metrics.ended() }"),
    ("nginx.conf", "init_worker_by_lua_block { metrics.start() }"),
    ("program/route.lua", "metrics.began(route.log)"),
)
"""What is left out of the other one."""


def run(stage: Stage) -> list[Row]:
    """Two copies of the platform's nginx lead to the very same process; each is first in every other round."""
    rounds = stage.rounds if stage.quick else 12 * stage.rounds
    rates: dict[str, list[float]] = {"with": [], "without": []}
    costs: dict[str, list[float]] = {"with": [], "without": []}
    with (
        stage.website("hello", stage.hello()) as domain,
        _copy(stage, "with", ()) as counting,
        _copy(stage, "without", _COUNTING) as plain,
    ):
        copies = {"with": counting, "without": plain}
        for _, port in copies.values():
            load.run(port, domain, clients=_CLIENTS, seconds=1)
        for number in range(rounds):
            stage.say(f"With and without counting, round {number + 1} of {rounds}")
            turn = list(copies.items())
            for name, (master, port) in turn if number % 2 else turn[::-1]:
                before = cpu_seconds(master.pid)
                result = load.run(port, domain, clients=_CLIENTS, seconds=_SECONDS)
                rates[name].append(result.rate)
                costs[name].append((cpu_seconds(master.pid) - before) / result.requests * 1e6)
    return [_row(rates, costs, rounds)]


@contextmanager
def _copy(stage: Stage, name: str, leave_out: tuple[tuple[str, str], ...]) -> Iterator[tuple[psutil.Process, int]]:
    """The platform's nginx once more, on a port of its own: its master process, and the port."""
    config = stage.platform.config
    where = directory(stage.scratch / f"ingress-{name}", mode=0o755)
    shutil.copytree(config.run_dir / "ingress" / "program", where / "program", dirs_exist_ok=True)
    for path in (where, *where.rglob("*")):
        path.chmod(0o755)
    port = free_port()
    text = (config.run_dir / "ingress" / "nginx.conf").read_text(encoding="utf-8")
    text = text.replace(str(config.run_dir / "ingress"), str(where))
    for former, other in ((config.http_port, port), (config.https_port, free_port())):
        text = text.replace(f":{former}", f":{other}")
    (where / "nginx.conf").write_text(text, encoding="utf-8")
    for file, words in leave_out:
        _leave_out(where / file, words)
    log = where / "output.log"
    argv = [program(config.nginx), "-c", str(where / "nginx.conf"), "-e", str(where / "error.log")]
    with running(argv, log=log) as master:
        wait_port(port, log)
        yield master, port


def _leave_out(file: Path, words: str) -> None:
    text = file.read_text(encoding="utf-8")
    if text.count(words) != 1:
        raise ValueError(f"{file} does not hold {words!r} once")
    file.write_text(text.replace(words, ""), encoding="utf-8")


def _row(rates: dict[str, list[float]], costs: dict[str, list[float]], rounds: int) -> Row:
    ratio = median(ours / theirs for ours, theirs in zip(rates["with"], rates["without"], strict=True))
    return Row(
        f"Throughput of the ingress with its counting, against the same without: FastAPI hello, one uvicorn worker, "
        f"{_CLIENTS} keep-alive clients ({rounds} rounds, in turns)",
        _described(rates["with"], costs["with"]),
        _described(rates["without"], costs["without"]),
        f"{ratio - 1:+.1%}",
        f"≥ −{_LIMIT:.0%}",
        ratio >= 1 - _LIMIT,
    )


def _described(rates: list[float], costs: list[float]) -> str:
    return f"{median(rates):,.0f} requests/s, {median(costs):.1f} µs of the proxy each"
