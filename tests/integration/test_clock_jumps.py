"""The wall clock jumps by a day, forward and back, while the platform runs: nobody notices.

The platform's processes ask libfaketime (Debian's package faketime) what time it is; a file says how far off it is.
Sandboxes keep the machine's clock. Visitors of these tests do, too: to them certificates must be good all the time.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from hereabouts import files
from tests.integration.sites import held, newer, sandboxes, server_pid, site, starting
from tests.integration.test_faults import SITE
from tests.platform import Account, Platform, free_port, platform, wait_for

DOMAIN = "clock-erin.localhost"
COMMAND = "/usr/bin/python3 clock.py $DOMAIN_SOCKET"
LIBRARY = "libfaketimeMT.so.1"
SLEEP = """\
import select, time
time.sleep = lambda seconds: select.select([], [], [], max(0.0, seconds)) and None
"""
"""For Python processes: under libfaketime 0.9.10 clock_nanosleep(2) to a moment, Python's way to sleep, is refused."""
RATE_LIMIT = 20
HOLD_SECONDS = 10
JUMPS = {"forward": "+1d", "back": "-1d"}
DAYS = {"+0": 0, "+1d": 1, "-1d": -1, "+9d": 9}

ENV = "".join(
    f"env {name};" for name in ("FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC")
)
"""For nginx, which clears its workers' environment."""


class Clock:
    """What time the platform takes it to be."""

    def __init__(self, directory: Path) -> None:
        found = sorted(Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"))
        assert found, "the package faketime is missing: apt-get install faketime"
        self._file = directory / "clock"
        self.jump("+0")
        program = shutil.which("nginx")
        self.nginx = directory / "nginx"
        self.nginx.write_text(f"#!/bin/sh\nexec {program} -g '{ENV}' \"$@\"\n")
        self.nginx.chmod(0o755)
        (directory / "sitecustomize.py").write_text(SLEEP)
        path = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
        self.environ = {
            "PYTHONPATH": path,
            "LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        }  # fmt: skip

    def jump(self, offset: str) -> None:
        files.replace(self._file, f"{offset}\n")
        self.days = DAYS[offset]


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    with tempfile.TemporaryDirectory(prefix="hereabouts-clock-") as name:
        Path(name).chmod(0o755)  # control and nginx's workers read it, too
        yield Clock(Path(name))


@pytest.fixture(scope="module")
def place(clock: Clock) -> Iterator[Platform]:
    settings = {
        "NGINX": str(clock.nginx), "RATE_LIMIT": str(RATE_LIMIT), "HOLD_SECONDS": str(HOLD_SECONDS),
        "RESPONSE_SECONDS": str(HOLD_SECONDS // 2),  # who is held is silent for longer than a website may be
    }  # fmt: skip
    nowhere = f"127.0.0.1:{free_port()}"  # neither an authority is there nor a name server
    with platform(clock.environ, ACME_DIRECTORY=f"https://{nowhere}/", RESOLVERS=nowhere, **settings) as made:
        yield made


@pytest.fixture(scope="module")
def erin(place: Platform) -> Account:
    return place.account("erin")


@pytest.fixture(autouse=True)
def right(clock: Clock, erin: Account) -> Iterator[None]:
    """The clock is right before each test and after."""
    erin.write("clock.py", SITE)
    (erin.home / "go").unlink(missing_ok=True)
    yield
    clock.jump("+0")


def _off_by(moment: datetime) -> int:
    """How many days ahead of the machine's clock this is."""
    return round((moment - datetime.now(UTC)) / timedelta(days=1))


def _visit_https(place: Platform, domain: str) -> int:
    """A visitor's request with the machine's clock, over a new connection, checking the certificate."""
    trust = ssl.create_default_context(cafile=str(place.config.authority_file))
    with (
        socket.create_connection(("127.0.0.1", place.https), timeout=30) as plain,
        trust.wrap_socket(plain, server_hostname=domain) as secure,
    ):
        connection = http.client.HTTPConnection(domain)
        connection.sock = secure
        connection.request("GET", "/")
        return connection.getresponse().status


@contextmanager
def _visitors(place: Platform) -> Iterator[Callable[[], None]]:
    """Visitors who come again and again, each of them answered; yields what waits for some more of them."""
    answered, failed, ending = [0, 0], list[object](), False

    def visit(number: int) -> None:
        while not ending:
            try:
                code = place.visit(DOMAIN).status_code if number else _visit_https(place, DOMAIN)
                failed.extend([code] if code != 200 else [])
            except (requests.RequestException, http.client.HTTPException, OSError) as error:
                failed.append(error)
            answered[number] += 1
            time.sleep(0.02)  # or they would take most of the machine from the process that starts

    def more() -> None:
        before = list(answered)
        wait_for(lambda: all(now > then + 5 for now, then in zip(answered, before, strict=True)), what="visitors")

    with ThreadPoolExecutor(2) as pool:
        for number in (0, 1):
            pool.submit(visit, number)
        try:
            yield more
        finally:
            ending = True
    assert failed == []


@pytest.mark.parametrize("way", JUMPS)
def test_nobody_notices(clock: Clock, place: Platform, erin: Account, way: str) -> None:
    with site(erin, COMMAND, DOMAIN) as website, _visitors(place) as more:
        for offset in (JUMPS[way], "+0"):
            clock.jump(offset)
            more()
            seen = parsedate_to_datetime(place.visit("nobody.localhost").headers["Date"])
            assert _off_by(seen) == clock.days, "nginx sees the jump"
            seen = parsedate_to_datetime(
                requests.get(f"{place.api}/api/v1/", verify=erin.session.verify).headers["Date"]
            )
            assert _off_by(seen) == clock.days, "control does"

            # A reload is answered at once, and so is a visitor of a killed process.
            erin.write("clock.py", newer(SITE) if clock.days else SITE)
            began, pid = time.monotonic(), server_pid(place, website)
            assert erin.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
            assert time.monotonic() - began < 10, erin.call("GET", f"{DOMAIN}/steps/").text
            assert place.visit(DOMAIN).json()["version"] == ("the newer one" if clock.days else "one")
            more()
            wait_for(lambda pid=pid: [one["pid"] for one in sandboxes(place, website)] not in ([], [pid]))
            state = erin.get(DOMAIN)["state"]
            assert (state["status"], state["detail"]) == ("running", None)


@pytest.mark.parametrize("way", JUMPS)
def test_a_killed_site_is_started_again_at_once(clock: Clock, place: Platform, erin: Account, way: str) -> None:
    with site(erin, COMMAND, DOMAIN) as website:
        for offset in (JUMPS[way], "+0"):
            clock.jump(offset)
            began = time.monotonic()
            os.kill(server_pid(place, website), signal.SIGKILL)
            assert place.visit(DOMAIN).status_code == 200
            assert time.monotonic() - began < 5


def _kill_supervisor(made: Platform) -> None:
    pid = made.pids()["supervisor"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: made.pids().get("supervisor") not in (pid, None), what="the supervisor is started again")


@pytest.mark.parametrize("way", JUMPS)
def test_the_held_are_served(clock: Clock, place: Platform, erin: Account, way: str) -> None:
    """Those who wait ask a second supervisor, so that they look at their clock in between."""
    with starting(erin, "clock.py", SITE, COMMAND, DOMAIN), ThreadPoolExecutor(1) as pool:
        visit = pool.submit(place.visit, DOMAIN)
        wait_for(lambda: held(place), what="a visitor is held")
        clock.jump(JUMPS[way])
        _kill_supervisor(place)
        erin.write("go", "")
        assert visit.result().status_code == 200


@pytest.mark.parametrize("way", JUMPS)
def test_the_held_do_not_wait_for_longer(clock: Clock, place: Platform, erin: Account, way: str) -> None:
    with starting(erin, "clock.py", SITE, COMMAND, DOMAIN), ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        visit = pool.submit(place.visit, DOMAIN)
        wait_for(lambda: held(place), what="a visitor is held")
        clock.jump(JUMPS[way])
        _kill_supervisor(place)
        answer = visit.result()
        assert (answer.status_code, "taking long to start" in answer.text) == (503, True)
        assert HOLD_SECONDS <= time.monotonic() - began < 2 * HOLD_SECONDS


@pytest.mark.parametrize("way", JUMPS)
def test_a_certificate_of_that_time_is_good(clock: Clock, place: Platform, erin: Account, way: str) -> None:
    clock.jump(JUMPS[way])
    domain = f"{way}-erin.localhost"
    with site(erin, COMMAND, domain):
        assert _visit_https(place, domain) == 200
        clock.jump("+0")
        assert _visit_https(place, domain) == 200


def _tries(place: Platform, domain: str) -> int:
    """How often a certificate could not be had."""
    with closing(sqlite3.connect(f"file:{place.config.sqlite_file}?mode=ro", uri=True)) as database:
        found = database.execute("SELECT failures FROM control_certificate WHERE name = ?", [domain]).fetchone()
    return int(found[0])


def test_an_order_that_failed_ahead_of_time_does_not_wait_for_that_time(
    clock: Clock, place: Platform, erin: Account
) -> None:
    domain = "clock.example.org"
    with site(erin, "true", domain, enabled=False):
        clock.jump("+9d")
        url = f"{place.api}/api/v1/user/erin/domains/{domain}/ssl/"
        answer = erin.session.post(url, json={"cert_type": "letsencrypt-auto-renew"})
        assert answer.status_code == 503, answer.text
        tries = wait_for(lambda: _tries(place, domain), what="it failed")
        clock.jump("+0")
        wait_for(lambda: _tries(place, domain) > tries, what="the next try")


@pytest.mark.parametrize("way", JUMPS)
def test_calls_are_counted_for_a_minute(clock: Clock, erin: Account, way: str) -> None:
    method = {"forward": "GET", "back": "HEAD"}[way]  # each is counted for itself
    wait_for(lambda: erin.call(method, "nobody.localhost/").status_code == 429, 60, "the rate is used up")
    clock.jump(JUMPS[way])
    answer = erin.call(method, "nobody.localhost/")
    assert answer.status_code == 404 or int(answer.headers["Retry-After"]) <= 60
