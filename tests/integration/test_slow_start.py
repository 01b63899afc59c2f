"""Slow start: the visitors of a process that is new go in one after the other, and none of them is kept out."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.integration.sites import answering, connections, server_pid, site, uvicorn
from tests.platform import Account, Platform, wait_for

DOMAIN = "fresh-alice.localhost"
TOGETHER = 16
MEETS = "import asyncio\nhere = []\n" + answering(
    "/meet", f"here.append(1)\nwhile len(here) < {TOGETHER}:\n    await asyncio.sleep(0.01)"
)
STAYS = "import asyncio\n" + answering(
    "/stay", "pathlib.Path('came').touch()\nwhile pathlib.Path('came').exists():\n    await asyncio.sleep(0.01)"
)


@pytest.fixture
def visitors() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(TOGETHER) as pool:
        yield pool


def test_nobody_waits_for_anothers_answer(running: Platform, alice: Account, visitors: ThreadPoolExecutor) -> None:
    alice.write("fresh.py", MEETS)
    with site(alice, uvicorn("fresh"), DOMAIN):
        answers = list(visitors.map(lambda _: running.visit(DOMAIN, "/meet"), range(TOGETHER)))
    assert [answer.status_code for answer in answers] == [200] * TOGETHER


def test_the_gate_is_left_after_a_while(running: Platform, alice: Account, visitors: ThreadPoolExecutor) -> None:
    alice.write("fresh.py", STAYS)
    came, gate = alice.home / "came", running.config.gate_socket

    def gated() -> bool:
        """Whether a visitor of now is at the gate while he is served."""
        wait_for(lambda: not connections(gate), what="those that nginx keeps have ended")
        visit = visitors.submit(running.visit, DOMAIN, "/stay")
        wait_for(came.exists)
        found = connections(gate)
        came.unlink()
        assert visit.result().status_code == 200
        return bool(found)

    with site(alice, uvicorn("fresh"), DOMAIN):
        assert gated()
        wait_for(lambda: not gated())


def test_who_is_at_the_gate_of_a_dead_process_is_held(
    running: Platform, alice: Account, visitors: ThreadPoolExecutor
) -> None:
    alice.write("fresh.py", MEETS)
    supervisor = psutil.Process(running.pids()["supervisor"])
    with site(alice, uvicorn("fresh"), DOMAIN) as website:
        pid = server_pid(running, website)
        supervisor.suspend()
        try:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
            began = time.time()
            visits = [visitors.submit(running.visit, DOMAIN, method="POST", data="x" * 70_000) for _ in range(4)]
            wait_for(lambda: connections(running.config.gate_socket), what="they are at the gate")
            wait_for(lambda: connections(running.config.hold_socket), what="they are held")
        finally:
            supervisor.resume()
        for visit in visits:
            answer = visit.result()
            assert answer.status_code == 200
            assert answer.json()["received"] == 70_000
            assert float(answer.json()["start"]) > began
