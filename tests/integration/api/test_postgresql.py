"""PostgreSQL instead of SQLite by one setting: the whole platform on a cluster of the test's own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from hereabouts.daemons.environ import environment
from tests.authority import Authority
from tests.integration.sites import server_pid
from tests.pebble import Names, names
from tests.platform import Account, Platform, free_port, platform, wait_for

PASSWORD = "p@ss/wörd?%"
SERVER = (
    "import http.server, os, socketserver\n"
    "class Hello(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Length', '5')\n"
    "        self.end_headers()\n"
    "        self.wfile.write(b'hello')\n"
    "    def address_string(self):\n"
    "        return ''\n"
    "socketserver.ThreadingUnixStreamServer(os.environ['DOMAIN_SOCKET'], Hello).serve_forever()\n"
)


class Server:
    """A PostgreSQL server with one database, which can be stopped and started again."""

    def __init__(self, place: Path) -> None:
        programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
        assert programs, "the package postgresql is not installed: `make test` installs it"
        self._programs, self._place, self._port = programs, place, free_port()
        self._who: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": place}
        (place / "password").write_text(PASSWORD)
        subprocess.run(["chown", "-R", "postgres", place], check=True)
        subprocess.run(
            [programs / "initdb", "-D", place / "data", "-U", "hereabouts", "-A", "scram-sha-256", "--no-sync",
             "-E", "UTF8", "--locale=C", f"--pwfile={place / 'password'}"],
            check=True, capture_output=True, **self._who,
        )  # fmt: skip

    def address(self, database: str = "postgres") -> str:
        return f"postgresql://hereabouts:{quote(PASSWORD, safe='')}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        self._run()
        wait_for(lambda: self._state() == 0)

    def start_recovery(self) -> None:
        """Start it as one that recovers from a crash, without an end, and takes no connections."""
        (self._place / "data" / "standby.signal").touch()
        self._run("-c", "hot_standby=off")
        wait_for(lambda: self._state() == 1)

    def end_recovery(self) -> None:
        self.stop()
        (self._place / "data" / "standby.signal").unlink()

    def _run(self, *options: str) -> None:
        place, port = self._place, str(self._port)
        argv = [self._programs / "postgres", "-D", place / "data", "-F", "-k", place, "-p", port, "-h", "127.0.0.1"]
        self._process = subprocess.Popen([*argv, *options], stderr=subprocess.DEVNULL, **self._who)

    def _state(self) -> int:
        """As pg_isready(1) has it: 0 takes connections, 1 refuses them, 2 is not there."""
        asked = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(asked, check=False).returncode

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # a fast shutdown, postgres(1)
        self._process.wait(30)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="hereabouts-postgresql-") as name:
        made = Server(Path(name))
        made.start()
        yield made
        made.stop()


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    with names(tmp_path_factory.mktemp("dns")) as server:
        yield server


@pytest.fixture(scope="module")
def there(server: Server, dns: Names) -> Iterator[Platform]:
    with platform(DATABASE=server.address(), RESOLVERS=dns.address) as made:
        yield made


def test_a_website_lives_and_dies(there: Platform) -> None:
    assert not there.config.sqlite_file.exists()
    pat = there.account("pat")
    (pat.home / "server.py").write_text(SERVER)
    created = pat.create("exec python3 server.py")
    assert created["state"]["status"] == "running"
    assert there.visit(pat.domain).text == "hello"
    assert pat.call("POST", f"{pat.domain}/reload/").json() == {"status": "OK"}
    assert pat.call("PATCH", f"{pat.domain}/", json={"enabled": False}).json()["state"]["status"] == "disabled"
    wrong = pat.call("PATCH", f"{pat.domain}/", json={"enabled": True, "webapp": {"command": "nonesuch"}}).json()
    assert "Command not found: nonesuch" in wrong["state"]["detail"]
    assert pat.call("DELETE", f"{pat.domain}/").status_code == 204
    assert pat.call("GET", f"{pat.domain}/").status_code == 404


def test_odd_texts(there: Platform) -> None:
    """PostgreSQL takes no zero characters, SQLite does."""
    pia = there.account("pia")
    for user in ("%00", "pia%00", "\udcff"):
        path = f"/api/v1/user/{quote(user, safe='%', errors='surrogateescape')}/websites/"
        assert pia.session.get(there.api + path, timeout=30).status_code in (400, 403)
    assert pia.call("GET", "%00.example.org/").status_code in (400, 404)
    body = {"domain_name": "pia.localhost", "enabled": False, "webapp": {"command": "☃ \U0001f40d"}}
    assert pia.call("POST", json=body).json()["webapp"]["command"] == "☃ \U0001f40d"


def test_one_of_many_gets_the_domain(there: Platform) -> None:
    paul = there.account("paul")
    body = {"domain_name": "race.example.org", "enabled": False, "webapp": {"command": "serve"}}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: paul.call("POST", json=body), range(8)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 400: 7}
    assert {answer.text for answer in answers if answer.status_code == 400} == {
        '{"domain_name":["domain with this domain name already exists."]}'
    }


def test_domains_and_certificates(there: Platform, dns: Names) -> None:
    pam, pola = there.account("pam"), there.account("pola")
    pam.write("server.py", SERVER)
    number = pam.create("exec python3 server.py", "www.shop.test")["id"]
    url = f"{there.api}/api/v1/user/pam/domains/www.shop.test/ssl/"
    for name in ("www.shop.test", "a\0b"):
        cert, key = Authority().sign("www.shop.test", subject=name)
        answer = pam.session.post(url, json={"cert": cert, "private_key": key}, timeout=60)
        assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
    assert pam.session.get(url, timeout=60).json()["subject_name"] == "ab"
    _take_at_once(pola, dns, "www.shop.test")
    left = pam.get(f"webapp-{number}.localhost")
    assert (left["id"], left["enabled"]) == (number, True)
    assert pola.session.get(url.replace("/pam/", "/pola/"), timeout=60).status_code == 404


def _take_at_once(account: Account, dns: Names, name: str) -> None:
    """Have a proved domain taken over by six calls; one gets it."""
    wanted = {"domain_name": name, "enabled": False, "webapp": {"command": "serve"}}
    proof = account.call("POST", json=wanted).json()["proof"]
    dns.tell("set-txt", host=proof["name"] + ".", value=proof["value"])
    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(lambda _: account.call("POST", json=wanted).status_code, range(6)))
    assert sorted(codes) == [201] + [400] * 5


def test_none_of_those_who_take_a_domain_at_once_waits_for_another(there: Platform, dns: Names) -> None:
    penny, paula = there.account("penny"), there.account("paula")
    for number in range(8):
        name = f"www{number}.taken.test"
        penny.call("POST", json={"domain_name": name, "enabled": False, "webapp": {"command": "serve"}})
        _take_at_once(paula, dns, name)


def test_adding_and_removing_names_at_once(there: Platform) -> None:
    petra = there.account("petra")
    petra.call("POST", json={"domain_name": petra.domain, "enabled": False, "webapp": {"command": "serve"}})
    path, body = f"{petra.domain}/domains/", {"domain_name": "www.race.test"}

    def repeat(number: int) -> list[int]:
        if number % 2:
            return [petra.call("POST", path, json=body).status_code for _ in range(10)]
        return [petra.call("DELETE", path + "www.race.test/").status_code for _ in range(10)]

    with ThreadPoolExecutor(6) as pool:
        codes = Counter(code for found in pool.map(repeat, range(6)) for code in found)
    assert set(codes) <= {201, 204, 400, 404}
    assert codes[201] - codes[204] in (0, 1)


def test_a_database_that_is_gone(there: Platform) -> None:
    """The sentence says which one, without the password."""
    port = free_port()
    settings = {**there.environ, "HEREABOUTS_DATABASE": f"postgresql://me:hunter2@127.0.0.1:{port}/none"}
    done = subprocess.run(
        [sys.executable, "-m", "hereabouts.cli.main", "user", "list"],
        env=settings, capture_output=True, text=True, check=False, timeout=60,
        cwd=there.directory,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_an_empty_database_is_not_taken_for_a_new_installation(there: Platform, server: Server) -> None:
    assert any(there.config.homes.iterdir())
    environ = {**environment(there.config), "HEREABOUTS_DATABASE": server.address("template1")}
    argv = [sys.executable, "-m", "hereabouts.daemons", "prepare"]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert re.search(r"The database \S+/template1 is missing or empty, but \S+ is not", done.stderr)


def test_a_server_that_stops_and_comes_back(there: Platform, server: Server) -> None:
    prue = there.account("prue")
    prue.write("server.py", SERVER)
    prue.create("exec python3 server.py")
    codes: Counter[int] = Counter()
    end = threading.Event()

    def visit() -> None:
        while not end.is_set():
            codes[there.visit(prue.domain).status_code] += 1

    with ThreadPoolExecutor(1) as pool:
        visits = pool.submit(visit)
        server.stop()
        try:
            before = codes.total()
            answer = prue.call("GET")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert answer.json()["detail"].startswith("The platform's database can't be used now: ")
            wait_for(lambda: codes.total() > before + 20)
        finally:
            server.start()
            end.set()
        visits.result()
    assert set(codes) == {200}
    wait_for(lambda: prue.call("GET").status_code == 200, what="the API answers again")
    assert prue.call("POST", f"{prue.domain}/reload/").json() == {"status": "OK"}
    prue.delete(prue.domain)


def test_a_supervisor_that_begins_while_the_database_is_gone_waits_for_it(there: Platform, server: Server) -> None:
    """Until then what runs goes on, and what ends stays down; the supervisor before starts again what ends."""
    phil = there.account("phil")
    phil.write("server.py", SERVER)
    website = phil.create("exec python3 server.py")
    log, waits = there.config.platform_log("supervisor"), b"The database does not answer: "
    server.stop()
    try:
        os.kill(server_pid(there, website), signal.SIGKILL)
        assert there.visit(phil.domain).status_code == 200
        pid, supervisor = server_pid(there, website), there.pids()["supervisor"]
        os.kill(supervisor, signal.SIGKILL)
        wait_for(lambda: there.pids().get("supervisor") not in (supervisor, None), what="another supervisor")
        end = log.stat().st_size
        wait_for(lambda: log.read_bytes()[end:].count(waits) > 1, what="it waits")
        assert there.visit(phil.domain).status_code == 200
        os.kill(pid, signal.SIGKILL)
        answer = there.visit(phil.domain)
        assert (answer.status_code, "taking long to start" in answer.text) == (503, True)
    finally:
        server.start()
    wait_for(lambda: there.visit(phil.domain).status_code == 200, what="it is started again")
    phil.delete(phil.domain)
