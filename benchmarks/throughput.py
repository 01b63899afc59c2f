"""Requests a second through the ingress, and its processor time a request, against other proxies."""

from __future__ import annotations

from statistics import median

from benchmarks import baselines, load
from benchmarks.machine import cpu_seconds
from benchmarks.report import Row
from benchmarks.stage import Stage

_CLIENTS = 32
_SECONDS = 2


def run(stage: Stage) -> list[Row]:
    """All three proxies in front of the very same process, in turn."""
    rounds = (
        stage.rounds if stage.quick else 2 * stage.rounds
    )  # many short ones: whatever else runs here comes and goes
    rates: dict[str, list[float]] = {"ingress": [], "nginx": [], "caddy": []}
    costs: dict[str, list[float]] = {"ingress": [], "nginx": []}
    with (
        stage.website("hello", stage.hello()) as domain,
        baselines.nginx(stage, [stage.socket(domain)]) as (master, [fixed]),
        baselines.caddy(stage, stage.socket(domain)) as caddy,
    ):
        ports = {"ingress": stage.platform.http, "nginx": fixed, "caddy": caddy}
        masters = {"ingress": stage.platform.pids()["nginx"], "nginx": master.pid}
        for port in ports.values():
            load.run(port, domain, clients=_CLIENTS, seconds=1)
        for number in range(rounds):
            stage.say(f"Throughput with {_CLIENTS} clients, round {number + 1} of {rounds}")
            for name, port in ports.items():
                before = cpu_seconds(masters[name]) if name in masters else 0.0
                result = load.run(port, domain, clients=_CLIENTS, seconds=_SECONDS)
                rates[name].append(result.rate)
                if name in masters:
                    costs[name].append((cpu_seconds(masters[name]) - before) / result.requests * 1e6)
    return [
        _rate("Throughput against nginx with a fixed upstream", rates, "nginx", 0.95),
        _rate("Throughput against Caddy with a fixed upstream", rates, "caddy", 1.5),
        _cost(costs),
    ]


def _rate(what: str, rates: dict[str, list[float]], other: str, target: float) -> Row:
    ratio = median(ours / theirs for ours, theirs in zip(rates["ingress"], rates[other], strict=True))
    return Row(
        f"{what}: FastAPI hello, one uvicorn worker, {_CLIENTS} keep-alive clients",
        f"{median(rates['ingress']):,.0f} requests/s",
        f"{median(rates[other]):,.0f} requests/s",
        f"{ratio:.2f}",
        f"≥ {target:g}",
        ratio >= target,
    )


def _cost(costs: dict[str, list[float]]) -> Row:
    ratio = median(ours / theirs for ours, theirs in zip(costs["ingress"], costs["nginx"], strict=True))
    return Row(
        "Processor time of the proxy against nginx with a fixed upstream",
        f"{median(costs['ingress']):.1f} µs a request",
        f"{median(costs['nginx']):.1f} µs a request",
        f"{ratio:.2f}",
        "≤ 1.2",
        ratio <= 1.2,
    )
