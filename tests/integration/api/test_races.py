"""Callers in each other's way: whatever comes between, an answer is one of the documented ones."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.integration.api.conftest import Caller

ROUNDS = 60
DOMAIN = "alice.example.org"


def test_a_website_that_comes_and_goes_while_it_is_asked_for(alice: Caller) -> None:
    body = {"domain_name": DOMAIN, "enabled": False, "webapp": {"command": "serve"}}
    codes: Counter[tuple[str, int]] = Counter()

    def repeat(method: str, path: str, wanted: object = None) -> None:
        for _ in range(ROUNDS):
            codes[method + " " + path, alice.call(method, path, json=wanted).status_code] += 1

    calls = [
        ("POST", "", body), ("DELETE", f"{DOMAIN}/", None), ("GET", "", None), ("GET", f"{DOMAIN}/", None),
        ("PATCH", f"{DOMAIN}/", {"webapp": {"command": "other"}}), ("POST", f"{DOMAIN}/reload/", None),
    ]  # fmt: skip
    with ThreadPoolExecutor(2 * len(calls)) as pool:
        list(pool.map(lambda call: repeat(*call), calls * 2))
    allowed = {"POST ": {201, 400, 404}, "GET ": {200}, f"DELETE {DOMAIN}/": {204, 404}}
    for (call, code), count in codes.items():
        assert code in allowed.get(call, {200, 400, 404, 502}), (call, code, count)
    assert codes["GET ", 200] == 2 * ROUNDS
