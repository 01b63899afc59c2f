"""Calls that wait for the supervisor keep nobody else waiting."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.integration.api.conftest import Caller, Supervisor, see, wait_for

MANY = 20


def test_many_that_wait(alice: Caller, bob: Caller, supervisor: Supervisor) -> None:
    go = threading.Event()

    def settle(website: int, generation: int, seconds: float) -> str:
        go.wait(20)
        see(website, serving=generation)
        return "done"

    supervisor.settle = settle
    with ThreadPoolExecutor(MANY) as pool:
        waiting = [pool.submit(alice.create, f"n{number}-alice.example.org") for number in range(MANY)]
        wait_for(lambda: len(supervisor.asked) == MANY)
        began = time.monotonic()
        assert bob.call("GET").status_code == 200
        assert len(alice.call("GET").json()) == MANY  # and what they wrote is written
        assert time.monotonic() - began < 1
        go.set()
        assert {call.result()["state"]["status"] for call in waiting} == {"running"}


def test_a_supervisor_that_ends_while_it_is_asked(alice: Caller, supervisor: Supervisor) -> None:
    supervisor.settle = lambda website, generation, seconds: None
    assert alice.create()["state"]["detail"].startswith("The supervisor is not answering")
