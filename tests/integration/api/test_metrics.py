"""GET websites/{domain}/metrics/ and GET /metrics"""

from __future__ import annotations

import os
import time
from types import ModuleType

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hereabouts.config import Config
from hereabouts.core.metrics import BUCKETS, COARSE, FINE, Sample
from hereabouts.supervisor import metrics
from tests.integration.api.conftest import Caller, see

QUICK_ANSWERS = (0, 30, 0, 10, *[0] * (BUCKETS - 4))


@pytest.fixture(autouse=True)
def files(config: Config) -> None:
    """The supervisor's directory, with no file in it."""
    metrics.prepare(config, ())


def count(config: Config, website: int, ago: int) -> Sample:
    """An interval so many seconds ago, as the supervisor writes it down."""
    sample = Sample(
        FINE.begin(int(time.time()) - ago), 10, (0, 30, 0, 10, 0), 5000, QUICK_ANSWERS, 3, 0.5, 40 << 20, 1, 2.5
    )
    metrics.add(config, website, sample, again=False)
    return sample


def test_nothing_was_counted(alice: Caller) -> None:
    alice.create()
    answer = alice.call("GET", "alice.example.org/metrics/")
    assert (answer.status_code, answer.json()) == (200, [])


def test_a_point(config: Config, alice: Caller) -> None:
    sample = count(config, alice.create()["id"], 100)
    [point] = alice.call("GET", "alice.example.org/metrics").json()
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(sample.at - sample.at % 20))
    assert point == {
        "at": at, "seconds": 10, "requests": {"1xx": 0.0, "2xx": 3.0, "3xx": 0.0, "4xx": 1.0, "5xx": 0.0},
        "latency": {"p50": pytest.approx(0.00833), "p95": 0.045, "p99": 0.049}, "bytes": 5000, "connections": 3,
        "cpu": 0.05, "memory_bytes": 40 << 20, "restarts": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("period", "ago"), [("hour", 3000), ("day", 80_000), ("week", 600_000), ("month", 2_500_000)])
def test_every_period_reaches_so_far_back(config: Config, alice: Caller, period: str, ago: int) -> None:
    website = alice.create()["id"]
    for each in (100, ago, ago * 2):
        count(config, website, each)
    points = alice.call("GET", "alice.example.org/metrics/", params={"period": period}).json()
    assert [round(point["requests"]["2xx"] * point["seconds"]) for point in points] == [30, 30]


def test_a_full_file_gives_180_points_at_the_most(config: Config, alice: Caller) -> None:
    website = alice.create()["id"]
    for ago in range(0, 3700, 10):
        count(config, website, ago)
    assert 179 <= len(alice.call("GET", "alice.example.org/metrics/").json()) <= 180
    assert (config.metrics / str(website)).stat().st_size <= COARSE.place(COARSE.step * (COARSE.slots - 1)) + 200


def test_unknown_period(alice: Caller) -> None:
    alice.create()
    answer = alice.call("GET", "alice.example.org/metrics/", params={"period": "year"})
    assert (answer.status_code, answer.json()) == (400, {"period": ["Give hour, day, week or month."]})


def test_a_broken_file_is_as_good_as_none(config: Config, alice: Caller) -> None:
    website = alice.create()["id"]
    count(config, website, 100)
    (config.metrics / str(website)).write_bytes(b"\xff" * 100_000)
    answer = alice.call("GET", "alice.example.org/metrics/")
    assert (answer.status_code, answer.json()) == (200, [])


def test_a_file_cut_short_within_a_record_loses_no_other(config: Config, alice: Caller) -> None:
    from hereabouts.control.metrics import read

    website = alice.create()["id"]
    end = COARSE.step * COARSE.slots * 700  # the week goes over the end of the ring
    for at in (end - COARSE.step, end - 2 * COARSE.step, end, end + COARSE.step):
        metrics.add(config, website, Sample(at, 10, (0, 30, 0, 10, 0)), again=False)
    file = config.metrics / str(website)
    os.truncate(file, file.stat().st_size - 1)
    assert sum(sum(point.answers) for point in read(website, "week", end + 2 * COARSE.step)) == 3 * 40


def test_lists_show_the_last_hour(config: Config, alice: Caller, operator: Caller) -> None:
    from hereabouts.control.metrics import requests_lately

    busy, idle = alice.create()["id"], alice.create("www.alice.test")["id"]
    for ago in (5, 305, 3000):
        count(config, busy, ago)
    found = requests_lately([busy, idle])
    assert set(found) == {busy}
    assert (len(found[busy]), sum(found[busy])) == (12, 120)


@pytest.mark.parametrize("header", ["", "Token", "Token " + "0" * 40, "Basic YWxpY2U6eA==", "Bearer \xff"])
def test_prometheus_is_for_operators(anyone: httpx.Client, header: str) -> None:
    answer = anyone.get("/metrics", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_prometheus_refuses_who_is_no_operator_and_the_sandboxes_of_one(
    services: ModuleType, anyone: httpx.Client, bob: Caller, operator: Caller
) -> None:
    for token in (bob.token, services.environment_token(services.find_account(operator.name))):
        assert anyone.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
def test_what_prometheus_reads(config: Config, alice: Caller, operator: Caller, scheme: str) -> None:
    website = alice.create()["id"]
    see(website)
    alice.create("www.alice.test", enabled=False)
    for ago in (20, 10):
        count(config, website, ago)
    answer = operator.client.get("/metrics", headers={"Authorization": f"{scheme} {operator.token}"})
    assert answer.status_code == 200
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    who = (("account", "alice"), ("domain", "alice.example.org"))
    assert found["hereabouts_requests_total", who[0], ("class", "2xx"), who[1]] == 60
    assert found["hereabouts_request_duration_seconds_count", *who] == 80
    assert found["hereabouts_request_duration_seconds_sum", *who] == 5
    assert found["hereabouts_request_duration_seconds_bucket", *who, ("le", "0.01")] == 60
    assert found["hereabouts_sent_bytes_total", *who] == 10_000
    assert found["hereabouts_cpu_seconds_total", *who] == 1
    assert found["hereabouts_restarts_total", *who] == 2
    assert found["hereabouts_connections", *who] == 3
    assert found["hereabouts_memory_bytes", *who] == 40 << 20
    states = {name: found["hereabouts_websites", ("state", name)] for name in ("running", "disabled", "crashed")}
    assert states == {"running": 1, "disabled": 1, "crashed": 0}
    assert {dict(labels)["domain"] for _, *labels in found if "domain" in dict(labels)} == {"alice.example.org"}
