"""A website's life, and its bad days: nothing that a visitor sends is dropped."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.integration.sites import (
    ANSWERS,
    PLAIN,
    WAITS,
    answering,
    delete_unseen,
    held,
    newer,
    remains,
    sandboxes,
    server_pid,
    site,
    starting,
    uvicorn,
)
from tests.platform import Account, Platform, wait_for

DOMAIN = "life-alice.localhost"
COMMAND = uvicorn("life")
KILLED = "It was ended by signal 9 (SIGKILL)."


@pytest.fixture(autouse=True)
def code(alice: Account) -> None:
    """The usual site, and no leave to start for one that waits for it."""
    alice.write("life.py", ANSWERS)
    (alice.home / "go").unlink(missing_ok=True)


def _version(answer: requests.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["version"])


def test_visited_the_instant_the_answer_is_there(running: Platform, alice: Account) -> None:
    for number in range(5):
        with site(alice, COMMAND, f"n{number}-alice.localhost") as website:
            answer = running.visit(website["domain_name"])
        assert _version(answer) == "one"
        assert website["state"]["status"] == "running"


@contextmanager
def _visitors(running: Platform, count: int = 8, **options: Any) -> Iterator[list[Future[requests.Response]]]:
    """So many visitors who all wait: every other one posts a body."""
    with ThreadPoolExecutor(count) as pool:
        before = held(running)
        visits = [
            pool.submit(running.visit, DOMAIN, "/", "POST" if n % 2 else "GET", data=b"x" * 100_000 * (n % 2))
            for n in range(count)
        ]
        wait_for(lambda: held(running) >= before + count, what="all visitors are held")
        yield visits


def test_requests_wait_while_a_site_starts(running: Platform, alice: Account) -> None:
    alice.write("life.py", WAITS + ANSWERS)
    with ThreadPoolExecutor(1) as pool:
        creation = pool.submit(alice.create, COMMAND, DOMAIN)
        try:
            wait_for((running.config.routes / DOMAIN).is_symlink)
            with _visitors(running) as visits:
                assert not any(visit.done() for visit in [*visits, creation])
                assert alice.get(DOMAIN)["state"]["status"] == "starting"
                alice.write("go", "")
            assert [_version(visit.result()) for visit in visits] == ["one"] * 8
            assert [visit.result().json()["received"] for visit in visits] == [0, 100_000] * 4
            assert creation.result()["state"]["status"] == "running"
        finally:
            creation.exception()
            alice.delete(DOMAIN)


NO_QUEUE = "import time\n" + PLAIN.replace(
    "    def address_string",
    "    def do_POST(self):\n"
    "        body = self.rfile.read(int(self.headers['Content-Length']))\n"
    "        answer = json.dumps([len(body), list(self.headers)]).encode()\n"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Length', str(len(answer)))\n"
    "        self.end_headers()\n"
    "        self.wfile.write(answer)\n\n"
    "    def address_string",
).replace(
    "    daemon_threads = True\n",
    "    daemon_threads = True\n"
    "    request_queue_size = 0\n"
    "    met = False\n\n"
    "    def get_request(self):\n"
    "        request = super().get_request()\n"
    "        if not self.met:\n"
    "            self.met = True\n"
    "            time.sleep(1)\n"
    "        return request\n",
)
"""A server that accepts once and then, for a second, refuses all but the first who comes next, as one that is dying."""


def test_who_is_let_go_to_a_process_that_refuses_is_held_again(running: Platform, alice: Account) -> None:
    with (
        starting(alice, "refuses.py", NO_QUEUE, "/usr/bin/python3 refuses.py $DOMAIN_SOCKET", DOMAIN),
        ThreadPoolExecutor(1) as pool,
    ):
        wait_for(lambda: not held(running), what="connections of earlier visitors are closed")
        visit = pool.submit(running.visit, DOMAIN, "/", "POST", data=b"x" * 300_000)
        wait_for(lambda: held(running), what="the visitor is held")
        alice.write("go", "")
        assert visit.result().status_code == 200
    received, headers = visit.result().json()
    assert received == 300_000
    assert [name for name in headers if "Hereabouts" in name] == []


def test_a_held_request_that_ends_its_website_is_sent_once(running: Platform, alice: Account) -> None:
    ends = alice.home / "ends"
    ends.unlink(missing_ok=True)
    code = answering("/exit", "with open('ends', 'a') as file: file.write('x')", "os._exit(1)")
    with (
        starting(alice, "life.py", code, COMMAND, DOMAIN),
        ThreadPoolExecutor(1) as pool,
    ):
        wait_for(lambda: not held(running), what="connections of earlier visitors are closed")
        visit = pool.submit(running.visit, DOMAIN, "/exit")
        wait_for(lambda: held(running), what="the visitor is held")
        alice.write("go", "")
        assert visit.result().status_code == 502
        assert ends.read_text(encoding="utf-8") == "x"


class Load:
    """Visitors who come again and again, with GET and with POST; every answer but 200 counts as failed."""

    def __init__(self, running: Platform, domain: str, visitors: int = 4) -> None:
        self._running, self._domain, self._end = running, domain, threading.Event()
        self.answers: list[tuple[str, float]] = []  # which version it was, and when the visit began
        self.failed: list[str] = []
        self.lost: list[tuple[float, float]] = []  # when each began that was answered otherwise, and ended
        self._threads = [threading.Thread(target=self._visit, args=(n % 2 == 1,)) for n in range(visitors)]

    def _visit(self, posts: bool) -> None:
        body = b"0123456789" * 2000 if posts else b""
        session, address = requests.Session(), f"http://127.0.0.1:{self._running.http}/"
        while not self._end.is_set():
            began = time.monotonic()
            try:
                answer = session.request(
                    "POST" if posts else "GET", address, data=body, headers={"Host": self._domain}, timeout=30
                )
                told = answer.json() if answer.status_code == 200 else {}
                if told.get("received") == len(body):
                    self.answers.append((told["version"], began))
                else:
                    self.failed.append(f"{answer.status_code} {answer.text[:300]}")
                    self.lost.append((began, time.monotonic()))
            except (requests.RequestException, ValueError) as error:
                self.failed.append(repr(error))
                self.lost.append((began, time.monotonic()))

    def more(self, count: int = 20) -> None:
        """Wait until so many more were answered."""
        wanted = len(self.answers) + len(self.failed) + count
        wait_for(lambda: len(self.answers) + len(self.failed) >= wanted, what="answers")

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize(
    "command",
    [COMMAND, COMMAND.replace("uvicorn --uds", "gunicorn -k uvicorn_worker.UvicornWorker --bind").replace(
        "$DOMAIN_SOCKET", "unix:$DOMAIN_SOCKET").replace(" --no-access-log", "")],
    ids=["uvicorn", "gunicorn"],
)  # fmt: skip
def test_reloads_under_load_fail_nobody(running: Platform, alice: Account, command: str) -> None:
    with site(alice, command, DOMAIN), Load(running, DOMAIN) as load:
        for _ in range(4):
            load.more()
            assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        alice.write("life.py", newer(ANSWERS))
        assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        answered = time.monotonic()
        load.more(100)
        assert {version for version, began in load.answers if began > answered} == {"the newer one"}
    assert load.failed == []


def test_a_request_under_way_is_finished_by_the_old_process(running: Platform, alice: Account) -> None:
    slow = answering(
        "/slow",
        "import asyncio",
        'pathlib.Path("began").touch()',
        'while not os.path.exists("go"):\n    await asyncio.sleep(0.01)',
    )
    alice.write("life.py", slow)
    (alice.home / "began").unlink(missing_ok=True)
    with site(alice, COMMAND, DOMAIN), ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(running.visit, DOMAIN, "/slow", "POST", data=b"x" * 1000)
        wait_for((alice.home / "began").exists)
        alice.write("life.py", newer(slow))
        assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        assert _version(running.visit(DOMAIN)) == "the newer one"
        assert not under_way.done()
        alice.write("go", "")
        assert _version(under_way.result()) == "one"


def test_a_broken_reload_keeps_the_old_process(running: Platform, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN) as website, Load(running, DOMAIN, 2) as load:
        pid = server_pid(running, website)
        alice.write("life.py", "raise ValueError('a slip')\n")
        answer = alice.call("POST", f"{DOMAIN}/reload/")
        assert (answer.status_code, answer.json()["status"], answer.json()["error_type"]) == (
            502,
            "ERROR",
            "reload_failed",
        )
        assert "ValueError: a slip" in answer.json()["error_message"]
        state = alice.get(DOMAIN)["state"]
        assert state["status"] == "running"
        assert state["detail"].startswith("The last reload failed: It exited with code 1")
        assert server_pid(running, website) == pid

        alice.write("life.py", newer(ANSWERS))
        assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        assert _version(running.visit(DOMAIN)) == "the newer one"
        assert alice.get(DOMAIN)["state"]["detail"] is None
        wait_for(lambda: len(sandboxes(running, website)) == 1, what="the old process is gone")
    assert load.failed == []


def test_a_killed_process_is_started_again(running: Platform, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN) as website:
        first, server = running.visit(DOMAIN).json()["start"], psutil.Process(server_pid(running, website))
        server.kill()
        wait_for(lambda: _is_gone(server))
        with ThreadPoolExecutor(8) as pool:
            visits = [
                pool.submit(running.visit, DOMAIN, method="POST" if n % 2 else "GET", data=b"x" * n) for n in range(8)
            ]
        starts = {visit.result().json()["start"] for visit in visits}
        assert [_version(visit.result()) for visit in visits] == ["one"] * 8
        assert (len(starts), first in starts) == (1, False)
        assert "It was ended by signal 9 (SIGKILL)." in alice.log(DOMAIN, "error")


def _is_gone(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_a_get_survives_even_the_moment_of_the_kill(running: Platform, alice: Account) -> None:
    alice.write("life.py", 'FILL = b"x" * (150 << 20)\n' + ANSWERS)  # it takes a while until it is dead
    for _ in range(3):
        with site(alice, COMMAND, DOMAIN) as website:
            os.kill(server_pid(running, website), signal.SIGKILL)
            answers = [running.visit(DOMAIN) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200] * 3, alice.log(DOMAIN, "error")


def test_one_killed_again_and_again_fails_only_whom_it_was_serving(running: Platform, alice: Account) -> None:
    rounds, deaths = 4, list[tuple[float, float]]()
    inside = alice.home / "inside"
    slow = answering("/slow", 'pathlib.Path("inside").touch()', "import asyncio", "await asyncio.sleep(120)")
    alice.write("life.py", slow)
    with site(alice, COMMAND, DOMAIN) as website, ThreadPoolExecutor(9) as pool, Load(running, DOMAIN) as load:
        before = alice.log(DOMAIN, "error").count(KILLED)  # of an earlier website of that name
        for _ in range(rounds):
            inside.unlink(missing_ok=True)
            served = pool.submit(running.visit, DOMAIN, "/slow", "POST", data=b"sent once")
            wait_for(inside.exists, what="a request is in the process")
            first, server = running.visit(DOMAIN).json()["start"], psutil.Process(server_pid(running, website))
            killed = time.monotonic()
            server.kill()
            wait_for(lambda server=server: _is_gone(server))
            deaths.append((killed, time.monotonic()))
            visits = [
                pool.submit(running.visit, DOMAIN, method="POST" if n % 2 else "GET", data=b"x" * 1000 * (n % 2))
                for n in range(8)
            ]
            answers = [visit.result() for visit in visits]
            assert [_version(answer) for answer in answers] == ["one"] * 8
            assert [answer.json()["received"] for answer in answers] == [0, 1000] * 4
            assert first not in {answer.json()["start"] for answer in answers}
            assert served.result().status_code == 502
            assert not inside.unlink(), "it was sent once"
            load.more()
            assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}  # failures are counted anew
            wait_for(lambda: len(sandboxes(running, website)) == 1, what="the old process is gone")
            assert not inside.exists()
        assert alice.log(DOMAIN, "error").count(KILLED) == before + rounds
    # Of those who come all the time, only whom a kill found in the process, or with it as it died, got an error: a
    # 502, or half an answer.
    broken = ("502 ", "ChunkedEncodingError", "ConnectionError")
    assert [failure for failure in load.failed if not failure.startswith(broken)] == []
    for began, ended in load.lost:
        assert any(began <= gone and killed <= ended for killed, gone in deaths), (began, ended, deaths)


def test_restarts_after_growing_pauses_then_crashed(running: Platform, alice: Account) -> None:
    alice.write("life.py", f"open('starts', 'a').write(f'{{__import__(\"time\").time()}}\\n')\n{ANSWERS}")
    (alice.home / "starts").unlink(missing_ok=True)
    with site(alice, COMMAND, DOMAIN) as website:
        broken = "open('starts', 'a').write(f'{__import__(\"time\").time()}\\n')\nraise SystemExit('no more')\n"
        alice.write("life.py", broken)
        running.visit(DOMAIN, "/end?3", "POST")
        wait_for(lambda: alice.get(DOMAIN)["state"]["status"] == "restarting")
        assert "exited with code 3 after it had served" in alice.log(DOMAIN, "error")
        wait_for(lambda: alice.get(DOMAIN)["state"]["status"] == "crashed")
        state = alice.get(DOMAIN)["state"]
        assert "exited with code 1 before it listened on $DOMAIN_SOCKET." in state["detail"]
        assert "no more" in state["detail"]

        before = time.monotonic()
        answer = running.visit(DOMAIN)
        assert (answer.status_code, time.monotonic() - before < 5) == (503, True)
        assert "This website is not working right now" in answer.text
        assert "no more" not in answer.text
        assert sandboxes(running, website) == []

        times = [float(line) for line in (alice.home / "starts").read_text().split()]
        pauses = [after - before for before, after in itertools.pairwise(times[1:])]
        assert len(pauses) == 1  # CRASH_LIMIT is 3: the end of the one that served, and two starts
        assert pauses[0] > 1.0  # after the second failure; none after the first

        alice.write("life.py", ANSWERS)
        assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        assert _version(running.visit(DOMAIN)) == "one"


def test_disabling_ends_and_enabling_starts_the_latest_code(running: Platform, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN) as website:
        pid = server_pid(running, website)
        off = alice.call("PATCH", f"{DOMAIN}/", json={"enabled": False})
        assert (off.status_code, off.json()["enabled"], off.json()["state"]["status"]) == (200, False, "disabled")
        assert running.visit(DOMAIN).status_code == 503
        wait_for(lambda: not psutil.pid_exists(pid))
        assert alice.call("POST", f"{DOMAIN}/reload/").status_code == 400
        alice.write("life.py", newer(ANSWERS))
        on = alice.call("PATCH", f"{DOMAIN}/", json={"enabled": True})
        assert (on.status_code, on.json()["enabled"], on.json()["state"]["status"]) == (200, True, "running")
        assert _version(running.visit(DOMAIN)) == "the newer one"
        assert server_pid(running, website) != pid


def test_another_command_is_applied_without_downtime(running: Platform, alice: Account) -> None:
    alice.write("other.py", newer(ANSWERS))
    with site(alice, COMMAND, DOMAIN), Load(running, DOMAIN, 2) as load:
        load.more()
        changed = alice.call("PATCH", f"{DOMAIN}/", json={"webapp": {"command": uvicorn("other")}})
        assert (changed.status_code, changed.json()["webapp"]["command"]) == (200, uvicorn("other"))
        assert _version(running.visit(DOMAIN)) == "the newer one"
    assert load.failed == []


def test_deleting_leaves_nothing(running: Platform, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN) as website:
        pid = server_pid(running, website)
        running.visit(DOMAIN, "/say?something")
        assert len(remains(running, website)) > 6
        alice.delete(DOMAIN)
        assert running.visit(DOMAIN).status_code == 404
        wait_for(lambda: not remains(running, website), what="nothing is left of it on disk")
        assert not psutil.pid_exists(pid)
        assert alice.call("GET", f"{DOMAIN}/").status_code == 404


def test_a_name_is_free_at_once_after_deleting(running: Platform, alice: Account, bob: Account) -> None:
    domain = "www.life.example"
    bob.write("plain.py", PLAIN)
    for number in range(3):
        with site(alice, COMMAND, domain):
            assert _version(running.visit(domain, f"/say?number{number}")) == "one"
            assert f"said number{number}" in alice.log(domain, "server")
    with site(bob, "/usr/bin/python3 plain.py $DOMAIN_SOCKET", domain):
        assert running.visit(domain).json()["one"].startswith("/usr/bin/python3 plain.py")
        wait_for(lambda: not alice.log(domain, "server"), what="the old owner's logs are removed")
        assert running.visit(domain).status_code == 200


def _kill(running: Platform, name: str) -> None:
    """Kill one of the platform's processes and wait until another has taken its place."""
    pid = running.pids()[name]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: running.pids().get(name) not in (pid, None), what=f"{name} is started again")


@pytest.mark.parametrize("name", ["control", "supervisor"])
def test_sites_serve_while_the_platform_dies(running: Platform, alice: Account, name: str) -> None:
    with site(alice, COMMAND, DOMAIN) as website:
        pid = server_pid(running, website)
        with Load(running, DOMAIN, 2) as load:
            load.more()
            _kill(running, name)
            load.more(50)
            wait_for(lambda: alice.call("GET", f"{DOMAIN}/").status_code == 200, what="the API answers")
            wait_for(lambda: _supervised(running, website), what="the supervisor answers")
            assert server_pid(running, website) == pid
            assert alice.get(DOMAIN)["state"]["status"] == "running"
            alice.write("life.py", newer(ANSWERS))
            assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
            load.more()
            assert _version(running.visit(DOMAIN)) == "the newer one"
            wait_for(lambda: not psutil.pid_exists(pid), what="the adopted process is retired")
        assert load.failed == []
        os.kill(server_pid(running, website), signal.SIGKILL)  # what was adopted is watched
        assert _version(running.visit(DOMAIN)) == "the newer one"
    wait_for(lambda: not remains(running, website))


def _supervised(running: Platform, website: dict[str, Any]) -> bool:
    try:
        return bool(sandboxes(running, website))
    except Exception:
        return False


def test_sites_serve_within_a_second_after_nginx_died(running: Platform, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN) as website:
        pid = server_pid(running, website)
        away = _without_an_answer(running)
        conf = running.config.run_dir / "ingress" / "nginx.conf"
        began = time.monotonic()
        subprocess.run(["nginx", "-t", "-q", "-c", conf], check=True, capture_output=True)
        read = time.monotonic() - began
        # On a machine so busy that nginx takes long to read its own configuration, it starts as much later.
        assert away < max(1.0, 10 * read)
        assert server_pid(running, website) == pid
        assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        assert _version(running.visit(DOMAIN)) == "one"


def _without_an_answer(running: Platform) -> float:
    """Kill nginx; the longest time without an answer until another one answers, in seconds."""
    nginx, last, longest = running.pids()["nginx"], time.monotonic(), 0.0
    os.kill(nginx, signal.SIGKILL)

    def answered_by_another() -> bool:
        nonlocal last, longest
        another = running.pids().get("nginx") not in (nginx, None)  # the workers of the old one may answer yet
        if not _reached(running):
            return False
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        return another

    wait_for(answered_by_another, what="nginx answers")
    return longest


def _reached(running: Platform) -> bool:
    try:
        return running.visit(DOMAIN).status_code == 200
    except requests.ConnectionError:
        return False


def test_what_ended_while_no_supervisor_looked_is_started_again(running: Platform, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN) as website:
        supervisor, pid = psutil.Process(running.pids()["supervisor"]), server_pid(running, website)
        supervisor.suspend()
        os.kill(pid, signal.SIGKILL)
        supervisor.kill()
        assert _version(running.visit(DOMAIN)) == "one"
        assert server_pid(running, website) != pid


def test_deleted_while_no_supervisor_looked(running: Platform, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN) as website:
        delete_unseen(running, alice, DOMAIN)
        wait_for(lambda: not remains(running, website), what="nothing is left of it")
        assert running.visit(DOMAIN).status_code == 404


def test_the_logs_of_one_deleted_while_no_supervisor_looked(running: Platform, alice: Account) -> None:
    """It had no process, so that its logs are all that the next supervisor finds of it."""
    with (
        site(alice, COMMAND, DOMAIN) as website,
        site(alice, COMMAND, "off-alice.localhost") as off,
        site(alice, COMMAND, "on-alice.localhost") as on,
    ):
        logs = running.config.logs
        for each in (website, off, on):
            assert running.visit(each["domain_name"]).status_code == 200
            (logs / "alice" / f"{each['domain_name']}.server.log.1").touch()
        (logs / "alice" / "notes.log").touch()
        for each in (website, off):
            assert alice.call("PATCH", f"{each['domain_name']}/", json={"enabled": False}).status_code == 200
            wait_for(lambda each=each: not sandboxes(running, each), what="its process is gone")
        others = [path for path in logs.rglob("*") if not path.name.startswith(DOMAIN)]
        others = [
            path for path in others if re.match("o(ff|n)-alice|notes", path.name) or path.parent.name == "platform"
        ]
        delete_unseen(running, alice, DOMAIN)
        wait_for(lambda: not remains(running, website), what="nothing is left of it")
        wait_for(lambda: _supervised(running, on), what="the supervisor answers")
        assert [path for path in others if not path.exists()] == []
        assert len([path for path in others if path.parent.name == "alice"]) == 9
        (logs / "alice" / "notes.log").unlink()


def test_a_new_owner_keeps_the_name_when_the_supervisor_dies(running: Platform, alice: Account) -> None:
    """The old website's process still drains when the next supervisor takes over."""
    slow = answering("/slow", "import asyncio", 'while not os.path.exists("go"):\n    await asyncio.sleep(0.01)')
    alice.write("life.py", slow)
    with site(alice, COMMAND, DOMAIN) as old, ThreadPoolExecutor(1) as pool:
        pid = server_pid(running, old)
        pool.submit(running.visit, DOMAIN, "/slow")
        wait_for(lambda: alice.log(DOMAIN, "error"))
        alice.delete(DOMAIN)
        alice.write("life.py", newer(ANSWERS))
        with site(alice, COMMAND, DOMAIN) as website:
            _kill(running, "supervisor")
            wait_for(lambda: _supervised(running, website), what="the supervisor answers")
            alice.write("go", "")
            wait_for(lambda: not psutil.pid_exists(pid), what="the old website's process ends")
            assert _version(running.visit(DOMAIN)) == "the newer one"


def test_children_end_with_their_site(running: Platform, alice: Account) -> None:
    forks = (
        "import subprocess, sys\n"
        "for _ in range(5):\n"
        "    subprocess.Popen(['setsid', 'bash', '-c', 'trap \"\" TERM; while :; do sleep 1000; done'])\n"
    )
    alice.write("life.py", forks + ANSWERS)
    with site(alice, COMMAND, DOMAIN) as website:
        server = psutil.Process(server_pid(running, website))
        children = wait_for(lambda: [c for c in server.children(recursive=True) if c.name() == "sleep"][4:])
        children = server.children(recursive=True)
        assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        wait_for(lambda: not any(child.is_running() for child in children), what="the old process's children end")
        children = psutil.Process(server_pid(running, website)).children(recursive=True)
        alice.delete(DOMAIN)
        wait_for(lambda: not any(child.is_running() for child in children))
        wait_for(lambda: not remains(running, website))


def test_one_that_ignores_term_is_killed(running: Platform, alice: Account) -> None:
    alice.write("life.py", PLAIN.replace("def serve():\n", "def serve():\n    signal.signal(15, signal.SIG_IGN)\n"))
    with site(alice, "/usr/bin/python3 life.py $DOMAIN_SOCKET", DOMAIN) as website:
        pid = server_pid(running, website)
        assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        assert server_pid(running, website) != pid
        assert _version(running.visit(DOMAIN)) == "one"
        wait_for(lambda: not psutil.pid_exists(pid), what="it is killed when its time is up")
        alice.delete(DOMAIN)
        wait_for(lambda: not remains(running, website))


def test_one_that_prints_without_end_has_its_logs_rotated(running: Platform, alice: Account) -> None:
    prints = (
        "import threading, time, sys\n"
        "def talk():\n"
        "    while True:\n"
        "        print('out ' * 2000)\n"
        "        print('err ' * 2000, file=sys.stderr)\n"
        "        time.sleep(0.002)\n"
        "threading.Thread(target=talk, daemon=True).start()\n"
    )
    alice.write("life.py", prints + ANSWERS)
    with site(alice, COMMAND, DOMAIN):
        for kind in ("server", "error"):
            log = running.config.logs / "alice" / f"{DOMAIN}.{kind}.log"
            old = log.with_name(f"{log.name}.1")
            wait_for(old.exists, what=f"the {kind} log is rotated")
            inode, first = log.stat().st_ino, old.stat().st_mtime_ns
            wait_for(lambda old=old, first=first: old.stat().st_mtime_ns > first, what="it is rotated again")
            assert old.stat().st_size <= 1 << 20
            assert log.stat().st_size < 40 << 20
            assert log.stat().st_ino == inode
        assert _version(running.visit(DOMAIN)) == "one"
    wait_for(lambda: not old.exists())


def test_one_that_removes_its_own_socket_serves_on(running: Platform, alice: Account) -> None:
    removes = answering("/remove", 'os.unlink(os.environ["DOMAIN_SOCKET"])')
    alice.write("life.py", removes)
    with site(alice, COMMAND, DOMAIN) as website:
        assert _version(running.visit(DOMAIN, "/remove")) == "one"
        for _ in range(3):
            assert _version(running.visit(DOMAIN)) == "one"
        assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        assert _version(running.visit(DOMAIN, "/remove")) == "one"
        os.kill(server_pid(running, website), signal.SIGKILL)
        assert _version(running.visit(DOMAIN)) == "one"


def test_one_that_stops_listening_is_replaced(running: Platform, alice: Account) -> None:
    deaf = PLAIN.replace(
        "        self.wfile.write(answer)\n",
        "        self.wfile.write(answer)\n"
        "        if self.path == '/deaf':\n"
        "            self.server.socket.close()\n"
        "            os.unlink(os.environ['DOMAIN_SOCKET'])\n",
    ).replace(".serve_forever()", ".serve_forever()\n    import threading; threading.Event().wait()")
    alice.write("life.py", deaf.replace("def serve():\n", "def serve():\n    import threading\n"))
    with site(alice, "/usr/bin/python3 life.py $DOMAIN_SOCKET", DOMAIN) as website:
        pid = server_pid(running, website)
        assert _version(running.visit(DOMAIN, "/deaf")) == "one"
        wait_for(lambda: _again(running) and pid not in [each["pid"] for each in sandboxes(running, website)])
        assert _version(running.visit(DOMAIN)) == "one"


def _again(running: Platform) -> requests.Response | None:
    answer = running.visit(DOMAIN)
    return answer if answer.status_code == 200 else None


@pytest.mark.parametrize(
    "domain",
    ["a" * 60 + "." + "b" * 40 + ".example.org", ".".join(["c" * 63] * 3 + ["d" * 61])],
    ids=["long", "longest"],
)
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_very_long_domain(running: Platform, alice: Account, domain: str) -> None:
    with site(alice, COMMAND, domain) as website:
        assert website["state"]["status"] == "running"
        answer = running.visit(domain, "/say?something")
        assert _version(answer) == "one"
        assert len(answer.json()["one"].split("--uds ")[1].split()[0]) <= 107
        secured = requests.get(
            f"https://127.0.0.1:{running.https}/",
            headers={"Host": domain},
            verify=False,
            timeout=20,
        )
        assert _version(secured) == "one"
        assert alice.call("POST", f"{domain}/reload/").json() == {"status": "OK"}
        assert _version(running.visit(domain)) == "one"
        for name in website["logfiles"].values():
            log = running.config.logs / "alice" / Path(name).name
            wait_for(lambda log=log: log.exists() and log.stat().st_size, what=f"the log {log.name}")
        alice.delete(domain)
        wait_for(lambda: not remains(running, website))


def test_many_at_once(running: Platform, alice: Account) -> None:
    domains = [f"m{number}-alice.localhost" for number in range(6)]

    def live(domain: str) -> list[str]:
        create: Callable[..., Any] = alice.create
        create("/usr/bin/python3 life.py $DOMAIN_SOCKET", domain)
        versions = [_version(running.visit(domain))]
        assert alice.call("POST", f"{domain}/reload/").json() == {"status": "OK"}
        versions.append(_version(running.visit(domain)))
        alice.delete(domain)
        assert running.visit(domain).status_code == 404
        return versions

    alice.write("life.py", PLAIN)
    try:
        with ThreadPoolExecutor(len(domains)) as pool:
            assert list(pool.map(live, domains)) == [["one", "one"]] * len(domains)
    finally:
        for domain in domains:
            alice.call("DELETE", f"{domain}/")
