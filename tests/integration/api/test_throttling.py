"""The rate: an endpoint and account, and strangers by address."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from hereabouts.config import Config
from tests.integration.api.conftest import Caller, serving, visitor

RATE = 5


@pytest.fixture
def slow(config: Config, tmp_path: Path) -> Iterator[Config]:
    """A second control process on the same database, which takes five calls a minute."""
    run_dir = config.data_dir.parent / "slow"
    run_dir.mkdir(exist_ok=True)
    settings = dataclasses.replace(config, run_dir=run_dir, rate_limit=RATE)
    with serving(settings):
        yield settings


def test_an_account_on_an_endpoint(slow: Config, alice: Caller, bob: Caller) -> None:
    with visitor(slow) as client:
        hasty, patient = (dataclasses.replace(caller, client=client) for caller in (alice, bob))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: hasty.call("GET"), range(4 * RATE)))
        assert Counter(answer.status_code for answer in answers) == {200: RATE, 429: 3 * RATE}
        refused = next(answer for answer in answers if answer.status_code == 429)
        seconds = int(refused.headers["Retry-After"])
        assert 50 <= seconds <= 60
        assert refused.json() == {"detail": f"Request was throttled. Expected available in {seconds} seconds."}
        assert hasty.call("GET", user="bob").status_code == 429  # another's URL is the same endpoint
        # another endpoint, another account: each has its own count
        assert hasty.call("GET", "none.test/").status_code == 404
        assert hasty.call("POST", json={}).status_code == 400
        assert patient.call("GET").status_code == 200
        refusals = Counter(patient.call("GET", user="alice").status_code for _ in range(RATE))
        assert refusals == {403: RATE - 1, 429: 1}


def test_strangers_by_address(slow: Config, alice: Caller) -> None:
    def codes(address: str, token: str) -> Counter[int]:
        headers = {"X-Real-IP": address} | ({"Authorization": f"Token {token}"} if token else {})
        path = "/api/v1/user/alice/websites/"
        with visitor(slow, **headers) as client:
            return Counter(client.get(path).status_code for _ in range(10 * RATE + 3))

    assert codes("198.51.100.1", "0" * 40) == {401: 10 * RATE, 429: 3}
    assert codes("198.51.100.1", "") == {429: 10 * RATE + 3}
    assert codes("198.51.100.2", "") == {401: 10 * RATE, 429: 3}
    assert codes("2001:db8::1", "") == {401: 10 * RATE, 429: 3}
    assert codes("2001:db8::2:1", "") == {429: 10 * RATE + 3}  # of the same network
    assert codes("2001:db8:0:1::1", "") == {401: 10 * RATE, 429: 3}
    with visitor(slow, **{"X-Real-IP": "198.51.100.1"}) as client:  # a good token is good from there too
        assert dataclasses.replace(alice, client=client).call("GET", "none.test/").status_code == 404


def test_prometheus_too(slow: Config, alice: Caller, operator: Caller) -> None:
    def answer(token: str) -> httpx.Response:
        headers = {"X-Real-IP": "198.51.100.3", "Authorization": f"Bearer {token}"}
        with visitor(slow, **headers) as client:
            return client.get("/metrics")

    assert {answer(token).status_code for token in ("0" * 40, alice.token) * 5 * RATE} == {401}
    refused = answer("0" * 40)
    assert refused.status_code == 429
    assert f"in {refused.headers['Retry-After']} seconds" in refused.text
    assert answer(operator.token).status_code == 200


def test_no_rate_for_what_is_public(slow: Config) -> None:
    with visitor(slow) as client:
        answers: list[httpx.Response] = [client.get("/api/schema/") for _ in range(2 * RATE)]
    assert {answer.status_code for answer in answers} == {200}
