"""PostgreSQL instead of SQLite by one setting: the whole platform on a cluster of the test's own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.authority import Authority
from tests.pebble import Names, names
from tests.platform import Platform, free_port, platform, wait_for

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


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a database in a PostgreSQL server that ends with the test."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    assert programs, "the package postgresql is not installed: `make test` installs it"
    with tempfile.TemporaryDirectory(prefix="hereabouts-postgresql-") as name:
        place = Path(name)
        (place / "password").write_text(PASSWORD)
        subprocess.run(["chown", "-R", "postgres", place], check=True)
        data, port = place / "data", free_port()
        who: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": place}
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "hereabouts", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8",
             "--locale=C", f"--pwfile={place / 'password'}"],
            check=True, capture_output=True, **who,
        )  # fmt: skip
        argv = [programs / "postgres", "-D", data, "-F", "-k", place, "-p", str(port), "-h", "127.0.0.1"]
        with subprocess.Popen(argv, stderr=subprocess.DEVNULL, **who) as server:
            ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_for(lambda: subprocess.run(ready, check=False).returncode == 0)
            try:
                yield f"postgresql://hereabouts:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
            finally:
                server.send_signal(2)  # INT: a fast shutdown, postgres(1)
                server.wait(30)


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    with names(tmp_path_factory.mktemp("dns")) as server:
        yield server


@pytest.fixture(scope="module")
def there(database: str, dns: Names) -> Iterator[Platform]:
    with platform(DATABASE=database, RESOLVERS=dns.address) as made:
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
    wanted = {"domain_name": "www.shop.test", "enabled": False, "webapp": {"command": "serve"}}
    proof = pola.call("POST", json=wanted).json()["proof"]
    dns.tell("set-txt", host=proof["name"] + ".", value=proof["value"])
    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(lambda _: pola.call("POST", json=wanted).status_code, range(6)))
    assert sorted(codes) == [201] + [400] * 5
    left = pam.get(f"webapp-{number}.localhost")
    assert (left["id"], left["enabled"]) == (number, True)
    assert pola.session.get(url.replace("/pam/", "/pola/"), timeout=60).status_code == 404


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
