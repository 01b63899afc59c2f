"""What is counted of a running website: visits, their latency, its processes; whatever is killed meanwhile."""

from __future__ import annotations

import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from hereabouts.core import metrics
from hereabouts.core.metrics import Totals
from hereabouts.supervisor import metrics as supervisor
from tests.integration.sites import PLAIN, held, server_pid, site, starting
from tests.platform import Account, Platform, wait_for

COMMAND = "exec /usr/bin/python3 counted.py"
SITE = PLAIN.replace(
    "        one = pathlib",
    "        if self.path.startswith('/status/'):\n"
    "            self.send_response(int(self.path[8:]))\n"
    "            self.send_header('Content-Length', '0')\n"
    "            return self.end_headers()\n"
    "        if self.path == '/steer':\n"
    "            self.send_response(203)\n"
    "            self.send_header('X-Accel-Redirect', '/')\n"
    "            self.send_header('Content-Length', '0')\n"
    "            return self.end_headers()\n"
    "        if self.path == '/slow':\n"
    "            import time\n"
    "            time.sleep(0.3)\n"
    "        if self.path == '/until':\n"
    "            import time\n"
    "            while not os.path.exists('until'):\n"
    "                time.sleep(0.01)\n"
    "        if self.path == '/work':\n"
    "            sum(number * number for number in range(3_000_000))\n"
    "        one = pathlib",
)
"""The plain site, which answers with a status, with a header that nginx obeys, slowly, after a file is there, or after
some work."""
_numbers = itertools.count()
INTERVAL_SECONDS = 45.0
"""Within which what was counted has been written down."""


def fresh() -> str:
    """A name that no test had before: ten seconds' counts are the website's that has the name at their end."""
    return f"counted{next(_numbers)}-alice.localhost"


@pytest.fixture
def website(alice: Account) -> Iterator[dict[str, Any]]:
    alice.write("counted.py", SITE)
    (alice.home / "until").unlink(missing_ok=True)
    with site(alice, COMMAND, fresh()) as made:
        yield made


def totals(running: Platform, website: dict[str, Any]) -> Totals:
    try:
        head = (running.config.metrics / str(website["id"])).read_bytes()[:512]
    except FileNotFoundError:
        return Totals()
    return metrics.unpack_totals(head) or Totals()


def counted(running: Platform, website: dict[str, Any], condition: Callable[[Totals], bool], what: str) -> Totals:
    """The website's totals once they fulfil the condition."""

    def found() -> Totals | None:
        latest = totals(running, website)
        return latest if condition(latest) else None

    result: Totals = wait_for(found, INTERVAL_SECONDS, what)
    return result


def points(alice: Account, website: dict[str, Any], period: str = "hour") -> list[dict[str, Any]]:
    answer = alice.call("GET", f"{website['domain_name']}/metrics/?period={period}")
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def kill(running: Platform, name: str, number: int = signal.SIGKILL) -> None:
    pid = running.pids()[name]
    os.kill(pid, number)
    if number == signal.SIGKILL:
        wait_for(lambda: running.pids().get(name) not in (pid, None), what=f"{name} is started again")


def test_visits_are_counted_by_class_with_their_latency(
    running: Platform, alice: Account, website: dict[str, Any]
) -> None:
    before = totals(running, website)
    assert not sum(before.answers)
    for status, times in ((200, 5), (304, 3), (404, 2), (500, 1)):
        for _ in range(times):
            assert running.visit(website["domain_name"], f"/status/{status}").status_code == status
    for _ in range(2):
        assert running.visit(website["domain_name"], "/slow").status_code == 200
    found = counted(running, website, lambda all_: sum(all_.answers) >= 13, "thirteen visits are counted")
    assert found.answers == (0, 7, 3, 2, 1)
    assert sum(found.latency) == 13
    assert found.latency[6] == 2  # more than 0.25 s, not more than 0.5 s
    assert 0.6 < found.latency_seconds < 3
    assert 13 * 100 < found.bytes_out < 13 * 1000
    for period in ("hour", "day", "week", "month"):
        told = points(alice, website, period)
        sums = [round(sum(point["requests"][name] * point["seconds"] for point in told)) for name in metrics.CLASSES]
        assert sums == [0, 7, 3, 2, 1]
        slowest = max(point["latency"]["p99"] or 0 for point in told)
        assert 0.25 < slowest <= 0.5


def test_a_visitor_who_was_held_is_counted_once(running: Platform, alice: Account) -> None:
    domain = fresh()
    with starting(alice, "counted.py", SITE, COMMAND, domain), ThreadPoolExecutor(1) as pool:
        visit = pool.submit(running.visit, domain)
        wait_for(lambda: held(running) > 0, what="the visitor is held")
        alice.write("go", "")
        assert visit.result().status_code == 200
        found = alice.get(domain)
        assert counted(running, found, lambda all_: sum(all_.answers) > 0, "the visit is counted").answers[1] == 1
        assert sum(totals(running, found).answers) == 1


def test_a_request_that_is_being_served_is_a_connection(
    running: Platform, alice: Account, website: dict[str, Any]
) -> None:
    with ThreadPoolExecutor(3) as pool:
        visits = [pool.submit(running.visit, website["domain_name"], "/until") for _ in range(3)]
        counted(running, website, lambda all_: all_.connections == 3, "three connections")
        alice.write("until", "")
        assert [visit.result().status_code for visit in visits] == [200] * 3
    counted(running, website, lambda all_: all_.connections == 0 and all_.answers[1] == 3, "they ended")
    assert max(point["connections"] for point in points(alice, website)) == 3


def test_a_website_can_t_send_its_visitors_elsewhere_in_nginx(running: Platform, website: dict[str, Any]) -> None:
    for _ in range(3):
        answer = running.visit(website["domain_name"], "/steer")
        assert (answer.status_code, "X-Accel-Redirect" in answer.headers) == (203, False)
    assert counted(running, website, lambda all_: all_.answers[1] == 3, "three visits").connections == 0


def test_a_record_that_can_t_be_written_keeps_back_no_other(running: Platform, short_path: Path) -> None:
    """Of three websites the middle one's totals are too large by now; nginx is told to forget what was written."""
    config = replace(running.config, data_dir=short_path, run_dir=short_path)
    for directory in (config.metrics, config.metrics_socket.parent):
        directory.mkdir(parents=True, exist_ok=True)
    (config.metrics / "2").write_bytes(metrics.pack_totals(Totals(bytes_out=(1 << 64) - 1)))
    at, asked = 1_790_000_000, list[str]()
    line = f" 0 10 0 1 0 0 0 1 {'0 ' * (metrics.BUCKETS - 1)}0.001\n"
    portion = f"@{at}:1:1\n" + "".join(f"{name}{line}" for name in ("one", "two", "three")) + ".\n"
    keepers: dict[int, Any] = dict.fromkeys((1, 2, 3))

    def nginx() -> None:
        for body in (portion, ".\n"):
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(4096).decode())
                connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{body}".encode())

    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(str(config.metrics_socket))
        listener.listen()
        listener.settimeout(20)
        answering = pool.submit(nginx)
        counting = supervisor.Metrics(config, keepers)
        for begin in (at, at + 10):
            counting._write_down(begin, {"one": 1, "two": 2, "three": 3}, {})
        answering.result()
    assert asked[1].startswith(f"GET /?done={at}:1:1 ")
    for number in (1, 3):
        found = metrics.unpack_totals((config.metrics / str(number)).read_bytes()[:512])
        assert found
        assert (found.answers[1], found.bytes_out) == (1, 10)


def test_processor_time_memory_and_restarts(running: Platform, alice: Account, website: dict[str, Any]) -> None:
    looping = alice.create("exit 7; : $DOMAIN_SOCKET", fresh())
    for _ in range(3):
        assert running.visit(website["domain_name"], "/work").status_code == 200
    found = counted(running, website, lambda all_: all_.cpu_seconds > 0.05 and all_.memory_bytes > 0, "its work")
    real = psutil.Process(server_pid(running, website)).memory_info().rss
    assert 0.5 * real < found.memory_bytes < 2 * real
    os.kill(server_pid(running, website), signal.SIGKILL)
    assert running.visit(website["domain_name"]).status_code == 200
    assert counted(running, website, lambda all_: all_.restarts > 0, "the restart").restarts == 1
    assert max(point["cpu"] for point in points(alice, website)) > 0
    counted(running, looping, lambda all_: all_.restarts > 1, "the restarts of one that has hardly a process")
    assert sum(point["restarts"] for point in points(alice, looping)) > 1
    alice.delete(looping["domain_name"])


def test_a_website_that_is_off_is_counted_too(running: Platform, alice: Account, website: dict[str, Any]) -> None:
    assert alice.call("PATCH", f"{website['domain_name']}/", json={"enabled": False}).status_code == 200
    assert running.visit(website["domain_name"]).status_code == 503
    assert counted(running, website, lambda all_: all_.answers[4] > 0, "the visit").answers == (0, 0, 0, 0, 1)


@pytest.mark.parametrize("process", ["supervisor", "nginx", "control"])
def test_history_survives_a_kill(running: Platform, alice: Account, website: dict[str, Any], process: str) -> None:
    for _ in range(4):
        assert running.visit(website["domain_name"], "/status/200").status_code == 200
    counted(running, website, lambda all_: all_.answers[1] == 4, "four visits")
    kill(running, process)
    wait_for(lambda: _answers(lambda: alice.call("GET", f"{website['domain_name']}/metrics/")), what="control answers")
    for _ in range(2):
        wait_for(
            lambda: _answers(lambda: running.visit(website["domain_name"], "/status/200")), what="visitors are served"
        )
    counted(running, website, lambda all_: all_.answers[1] == 6, "six visits")
    assert round(sum(point["requests"]["2xx"] * point["seconds"] for point in points(alice, website))) == 6


def _answers(call: Callable[[], requests.Response]) -> bool:
    try:
        return call().status_code == 200
    except requests.ConnectionError:
        return False


def test_visits_while_there_is_no_supervisor_are_counted_when_it_is_back(
    running: Platform, website: dict[str, Any]
) -> None:
    supervisor = psutil.Process(running.pids()["supervisor"])
    supervisor.suspend()
    try:
        for _ in range(3):
            assert running.visit(website["domain_name"], "/status/200").status_code == 200
    finally:
        supervisor.kill()
    counted(running, website, lambda all_: all_.answers[1] == 3, "three visits")


def test_what_nginx_counted_survives_its_reading_the_configuration_anew(
    running: Platform, website: dict[str, Any]
) -> None:
    for _ in range(3):
        assert running.visit(website["domain_name"], "/status/200").status_code == 200
    before = {child.pid for child in psutil.Process(running.pids()["nginx"]).children()}
    kill(running, "nginx", signal.SIGHUP)
    wait_for(lambda: {child.pid for child in psutil.Process(running.pids()["nginx"]).children()}.isdisjoint(before))
    assert running.visit(website["domain_name"], "/status/200").status_code == 200
    counted(running, website, lambda all_: all_.answers[1] == 4, "four visits")


def test_nothing_is_left_of_a_deleted_website(running: Platform, alice: Account, website: dict[str, Any]) -> None:
    file = running.config.metrics / str(website["id"])
    wait_for(file.exists, INTERVAL_SECONDS, "the website is counted")
    assert (file.stat().st_mode & 0o777, file.stat().st_uid) == (0o640, 0)
    assert running.config.metrics.stat().st_mode & 0o777 == 0o750
    alice.delete(website["domain_name"])
    wait_for(lambda: not file.exists(), what="the file is removed")


def test_others_learn_nothing(running: Platform, alice: Account, bob: Account, website: dict[str, Any]) -> None:
    assert bob.call("GET", f"{website['domain_name']}/metrics/").status_code == 404
    url = f"{running.api}/api/v1/user/alice/websites/{website['domain_name']}/metrics/"
    assert bob.session.get(url, timeout=60).status_code == 403
