"""Changes that no visitor notices: coalesced reloads, health checks, stop_first, take-over; sites that stall."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from hereabouts.daemons.environ import environment
from tests.integration.sites import PLAIN, WAITS, connections
from tests.platform import Account, Platform, platform, wait_for

UVICORN = "/home/alice/.virtualenvs/servers/bin/uvicorn --uds $DOMAIN_SOCKET"
APP = """\
import pathlib, time
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/block":
        pathlib.Path("blocked").touch()
        time.sleep(120)
    healthy = scope["path"] != "/health" or pathlib.Path("healthy").exists()
    await send({"type": "http.response.start", "status": 200 if healthy else 503, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
ORDERED = """\
import os, time
while not os.path.exists("go"):
    time.sleep(0.01)
paths = []
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = " ".join(paths).encode()
    paths.append(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""
DOMAIN = "changes-alice.localhost"


RUNTIME = """\
#!/bin/sh
case " $* " in *" state "*) [ -e "$0.broken" ] && exit 1 ;; esac
exec runc "$@"
"""
"""runc, which can't tell of any sandbox while there is a file that says so."""


@pytest.fixture
def take_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of its own, which further `up`s take over; its runtime can be broken."""
    runtime = tmp_path_factory.mktemp("runtime") / "runtime"
    runtime.write_text(RUNTIME)
    runtime.chmod(0o755)
    with platform(OCI_RUNTIME=str(runtime)) as made:
        yield made


@pytest.fixture
def site(alice: Account) -> Iterator[str]:
    alice.write("changes.py", APP)
    alice.create(f"{UVICORN} changes:app", DOMAIN)
    yield DOMAIN
    alice.delete(DOMAIN)


def starts(alice: Account) -> int:
    return alice.log(DOMAIN, "error").count("Started server process")


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def change(alice: Account, **settings: object) -> requests.Response:
    answer = alice.call("PATCH", f"{DOMAIN}/", json={"webapp": settings})
    assert answer.status_code == 200, answer.text
    return answer


def reload_at_once(alice: Account, site: str, code: str) -> list[tuple[int, dict[str, str]]]:
    """The answers to a hundred reloads that come before the first start with this code goes on."""
    control = alice.platform.config.control_socket
    bound = control.with_name(f".{control.name}.{alice.platform.pids()['control']}")  # and renamed after that
    trust = ssl.create_default_context(cafile=alice.platform.config.ca_bundle)
    (alice.home / "go").unlink(missing_ok=True)
    alice.write("changes.py", WAITS + code)

    def reload(_: int) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPSConnection("localhost", alice.platform.https, context=trust)
        headers = {"Authorization": f"Token {alice.token}"}
        connection.request("POST", f"/api/v1/user/alice/websites/{site}/reload/", headers=headers)
        with closing(connection):
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    with ThreadPoolExecutor(100) as callers:
        answers = [callers.submit(reload, number) for number in range(100)]
        wait_for(lambda: connections(bound) >= 100, what="all calls are with control")
        alice.write("go", "")
        return [answer.result() for answer in answers]


def test_a_hundred_reloads_at_once_are_at_most_two_starts_and_true_answers(alice: Account, site: str) -> None:
    before = starts(alice)
    assert reload_at_once(alice, site, APP) == [(200, {"status": "OK"})] * 100
    assert 1 <= starts(alice) - before <= 2


def test_a_hundred_reloads_at_once_of_broken_code_are_at_most_two_starts_and_all_told_why(
    alice: Account, site: str
) -> None:
    answers = reload_at_once(alice, site, "import fastest\n" + APP)
    reason = (
        "It exited with code 1 before it listened on $DOMAIN_SOCKET. The last error in its log: ModuleNotFoundError: "
        "No module named 'fastest'. Install it in the virtual environment whose Python the command runs, or correct "
        "the name."
    )
    assert answers == [(502, {"status": "ERROR", "error_type": "reload_failed", "error_message": reason})] * 100
    assert 1 <= alice.log(DOMAIN, "error").count("The website is not serving: ") <= 2
    assert alice.platform.visit(site).status_code == 200


def test_held_visitors_go_on_in_order_of_arrival(alice: Account) -> None:
    alice.write("ordered.py", ORDERED)
    (alice.home / "go").unlink(missing_ok=True)
    domain, asked = "ordered-alice.localhost", alice.platform.config.supervisor_socket
    made = threading.Thread(target=alice.create, args=(f"{UVICORN} ordered:app", domain))
    made.start()
    wait_for(lambda: (alice.platform.config.routes / domain).is_symlink())
    try:
        with ThreadPoolExecutor(40) as pool:
            visits = []
            for number in range(40):
                visits.append(pool.submit(alice.platform.visit, domain, f"/{number}"))
                if number == 20:  # who asks a new supervisor keeps the place
                    os.kill(alice.platform.pids()["supervisor"], signal.SIGKILL)
                    made.join()
                before = number < 20  # then the call that creates the website waits, too
                wanted = len(visits) + before
                wait_for(lambda wanted=wanted: connections(asked) >= wanted, what=f"visitor {number} asks")
            alice.write("go", "")
            assert [visit.result().status_code for visit in visits] == [200] * 40
        paths = alice.platform.visit(domain, "/seen").text.split()
        assert paths == [f"/{number}" for number in range(40)]
    finally:
        made.join()
        alice.delete(domain)


def test_a_health_check_keeps_visitors_from_a_process_that_is_not_well(alice: Account, site: str) -> None:
    answer = change(alice, health_path="/health", health_seconds=1)
    assert answer.json()["webapp"]["health_path"] == "/health"
    failed = alice.call("POST", f"{site}/reload/")
    assert failed.status_code == 502
    assert "The health check GET /health answered 503 instead of 200" in failed.json()["error_message"]
    assert alice.platform.visit(site).status_code == 200
    alice.write("healthy", "")
    assert alice.call("POST", f"{site}/reload/").status_code == 200
    assert alice.get(site)["state"]["detail"] is None


def test_a_health_check_keeps_nobody_waiting_when_its_website_goes(alice: Account, site: str) -> None:
    (alice.home / "healthy").unlink(missing_ok=True)
    sick = "sick-alice.localhost"
    webapp = {"command": f"{UVICORN} changes:app", "health_path": "/health", "health_seconds": 60}
    with ThreadPoolExecutor(1) as pool:
        creation = pool.submit(alice.call, "POST", json={"domain_name": sick, "webapp": webapp})
        wait_for(lambda: "Health check" in alice.call("GET", f"{sick}/steps/").text, what="the health check begins")
        alice.delete(sick)
        assert alice.call("POST", f"{site}/reload/").json() == {"status": "OK"}
        assert creation.result().status_code in (201, 404)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"health_path": "health"}, "health_path"),
        ({"health_path": "/a b"}, "health_path"),
        ({"health_status": 99}, "health_status"),
        ({"health_seconds": 0}, "health_seconds"),
        ({"stop_first": "perhaps"}, "stop_first"),
    ],
)
def test_a_bad_setting_is_refused(alice: Account, site: str, settings: dict[str, object], field: str) -> None:
    answer = alice.call("PATCH", f"{site}/", json={"webapp": settings})
    assert answer.status_code == 400
    assert list(answer.json()["webapp"]) == [field]


def test_stop_first_never_runs_two_and_holds_the_visitors(alice: Account, site: str) -> None:
    change(alice, stop_first=True)
    number = alice.get(site)["id"]
    together: list[int] = []
    done = threading.Event()

    def count() -> None:
        while not done.is_set():
            pids = [read(path) for path in alice.platform.config.instances.glob(f"{number}-*/pid")]
            together.append(sum(Path(f"/proc/{pid}").exists() for pid in pids if pid))
            time.sleep(0.01)

    watching = threading.Thread(target=count)
    watching.start()
    with ThreadPoolExecutor(4) as visitors:
        reloading = visitors.submit(alice.call, "POST", f"{site}/reload/")
        answers = [visitors.submit(alice.platform.visit, site) for _ in range(3)]
        assert reloading.result().status_code == 200
        assert [answer.result().status_code for answer in answers] == [200] * 3
    done.set()
    watching.join()
    assert max(together) == 1


def test_a_blocked_event_loop_is_told_with_its_place(alice: Account, site: str) -> None:
    def visit(path: str) -> None:
        try:
            alice.platform.visit(site, path, timeout=25)
        except requests.RequestException:
            return

    visitors = [threading.Thread(target=visit, args=(path,)) for path in ("/block", "/", "/")]
    blocked = alice.home / "blocked"
    blocked.unlink(missing_ok=True)
    visitors[0].start()
    wait_for(blocked.exists, what="the event loop is blocked")
    for visitor in visitors[1:]:
        visitor.start()
    detail = wait_for(lambda: alice.get(site)["state"]["detail"], 40, "the stall in the state")
    assert "It does not answer" in detail
    assert "changes.py:7" in detail
    for visitor in visitors:
        visitor.join()


@contextmanager
def visitors(made: Platform, domain: str) -> Iterator[None]:
    """Some who come as long as this lasts, none of whom fails. As browsers do, they repeat a GET whose connection, kept
    from an answer before, was closed in that very moment (RFC 9112, 9.3.1)."""
    faults: list[object] = []
    stopping = threading.Event()
    answered = 0

    def visit() -> None:
        nonlocal answered
        session = requests.Session()
        session.mount("http://", HTTPAdapter(max_retries=Retry(total=1, connect=0, status=0)))
        while not stopping.is_set():
            try:
                url = f"http://127.0.0.1:{made.http}/"
                code = session.get(url, headers={"Host": domain}, timeout=30).status_code
                answered += code == 200
                faults.extend([code] if code != 200 else [])
            except requests.RequestException as error:
                faults.append(error)

    threads = [threading.Thread(target=visit) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert faults == []
    assert answered > 0


def refuses(made: Platform, domain: str, size: int) -> bool:
    """Whether a body of this size, of which nothing is sent, is answered for being too large."""
    with closing(http.client.HTTPConnection("127.0.0.1", made.http, timeout=5)) as connection, suppress(TimeoutError):
        connection.putrequest("POST", "/", skip_host=True)
        connection.putheader("Host", domain)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        return connection.getresponse().status == 413
    return False


def to_the_version_before(made: Platform) -> None:
    """The database as it was before the latest migration."""
    argv = [sys.executable, "-m", "django", "migrate", "--verbosity=0", "control", "0004"]
    subprocess.run(argv, env=environment(made.config), check=True, timeout=60)


def applied(made: Platform) -> bool:
    """Whether it is as it is now."""
    with closing(sqlite3.connect(made.config.sqlite_file)) as database:
        found = database.execute("SELECT name FROM django_migrations WHERE app = 'control'").fetchall()
    return any(name.startswith("0005") for (name,) in found)


def test_an_upgrade_takes_over_and_no_visitor_fails(take_over: Platform) -> None:
    """With a setting of nginx and the tables changed, another version's records, and a runtime that can't be asked."""
    domain, config = "demo.localhost", take_over.config
    pids, instances = take_over.pids(), sorted(config.instances.iterdir())
    record = instances[0] / "record.json"
    kept = {**json.loads(record.read_text()), "invented_later": 1}
    del kept["log_offset"], kept["command"]
    record.write_text(json.dumps(kept))
    Path(f"{config.oci_runtime}.broken").touch()
    to_the_version_before(take_over)
    take_over.settings["HEREABOUTS_BODY_MB"] = "1"
    old = take_over.process
    with visitors(take_over, domain):
        with take_over.output.open("w", encoding="utf-8") as output:
            take_over.process = subprocess.Popen(
                [sys.executable, "-m", "hereabouts.cli.main", "up", "--take-over"], env=take_over.environ,
                cwd=take_over.directory, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        wait_for(lambda: "\nReady: " in take_over.output.read_text(encoding="utf-8"), 90, "the line Ready")
        wait_for(lambda: refuses(take_over, domain, 2 << 20), what="nginx has the new limit")
    assert old is not None
    assert old.wait(10) == 0
    assert sorted(config.instances.iterdir()) == instances
    assert {name for name, pid in take_over.pids().items() if pid == pids[name]} == {"nginx"}
    assert applied(take_over)

    to_the_version_before(take_over)
    with closing(sqlite3.connect(config.sqlite_file)) as database, database:
        database.execute("CREATE TABLE control_auditentry (id integer)")  # the migration would make it
    old = take_over.process
    with visitors(take_over, domain):
        failed = take_over.cli("up", "--take-over", check=False)
        assert old.wait(10) == 0
        assert failed.returncode == 1
        assert "the upgrade failed: " in failed.stderr
        assert "Websites that ran before go on, but nothing looks after them now." in failed.stderr
        with closing(sqlite3.connect(config.sqlite_file)) as database, database:
            database.execute("DROP TABLE control_auditentry")
        take_over.start()
    assert sorted(config.instances.iterdir()) == instances
    assert applied(take_over)


SOCKETS = """\
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message["text"]})
"""


def test_websockets_outlive_a_reload_until_the_limit_and_are_closed_properly(alice: Account) -> None:
    domain = "sockets-alice.localhost"
    alice.write("sockets.py", SOCKETS)
    alice.create(f"{UVICORN} sockets:app", domain)
    platform = alice.platform
    with connect(
        f"ws://{domain}:{platform.http}/", sock=socket.create_connection(("127.0.0.1", platform.http))
    ) as held:
        held.send("before")
        assert held.recv(10) == "before"
        began = time.monotonic()
        assert alice.call("POST", f"{domain}/reload/").status_code == 200
        held.send("after the reload")
        assert held.recv(10) == "after the reload"
        with pytest.raises(ConnectionClosed):
            held.recv(30)
        assert time.monotonic() - began >= platform.config.drain_seconds - 1
        assert held.close_code in (1001, 1012)
    alice.delete(domain)


def test_a_home_that_vanished_is_told_and_the_website_serves_on(running: Platform) -> None:
    drew = running.account("drew")
    domain = "drew.localhost"
    drew.write("server.py", PLAIN)
    assert drew.create("python3 server.py $DOMAIN_SOCKET", domain)["state"]["status"] == "running"
    kept = drew.home.rename(drew.home.with_name("kept"))
    answer = drew.call("POST", f"{domain}/reload/")
    assert answer.status_code == 502
    assert f"The home directory {drew.home} is missing" in answer.json()["error_message"]
    assert not drew.home.exists()
    assert running.visit(domain).status_code == 200
    assert "is missing" in drew.shell("true", check=False).stderr
    kept.rename(drew.home)
    assert drew.call("POST", f"{domain}/reload/").status_code == 200
    drew.delete(domain)
