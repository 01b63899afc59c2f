"""Websites that do their worst to the supervisor, and faults at the worst moment: others notice nothing."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from hereabouts.supervisor import procfs
from tests.integration.sites import PLAIN, attended, connections, held, remains, sandboxes, server_pid, site, starting
from tests.platform import Account, Platform, wait_for

COMMAND = "/usr/bin/python3 hostile.py; : $DOMAIN_SOCKET"
HOSTILE, VICTIM = "hostile-alice.localhost", "victim-bob.localhost"


@pytest.fixture
def victim(bob: Account) -> Iterator[dict[str, Any]]:
    """Bob's website, which means no harm."""
    bob.write("victim.py", PLAIN)
    with site(bob, "/usr/bin/python3 victim.py $DOMAIN_SOCKET", VICTIM) as website:
        assert website["state"]["status"] == "running", website["state"]
        yield website


@contextmanager
def hostile(alice: Account, code: str, *, wait: bool = True) -> Iterator[dict[str, Any]]:
    """A website that runs this; where it is not to be waited for, it is enabled when it is there already."""
    alice.write("hostile.py", code)
    with site(alice, COMMAND, HOSTILE, enabled=wait) as website:
        if wait:
            yield website
            return
        with ThreadPoolExecutor(1) as pool:
            enabling = pool.submit(alice.call, "PATCH", f"{HOSTILE}/", json={"enabled": True})
            wait_for(lambda: alice.get(HOSTILE)["enabled"])
            try:
                yield website
            finally:
                alice.call("DELETE", f"{HOSTILE}/")
                enabling.result()


DEEP = """\
import os
os.chdir(os.path.dirname(os.environ["DOMAIN_SOCKET"]))
for _ in range(1500):
    os.mkdir("d")
    os.chdir("d")
"""


def test_a_directory_of_any_depth_is_removed(
    running: Platform, alice: Account, bob: Account, victim: dict[str, Any]
) -> None:
    with hostile(alice, f"{DEEP}raise SystemExit(1)\n"):
        wait_for(lambda: alice.get(HOSTILE)["state"]["status"] == "crashed", what="it ended each time")
    with hostile(alice, DEEP + PLAIN) as website:
        assert website["state"]["status"] == "running"
        supervisor = psutil.Process(running.pids()["supervisor"])
        supervisor.suspend()  # so that the next one finds what is left of it
        os.kill(server_pid_of(website, running), signal.SIGKILL)
        supervisor.kill()
        wait_for(lambda: running.pids().get("supervisor") not in (supervisor.pid, None), what="it is started again")
        wait_for(lambda: attended(running), what="it answers")
        assert bob.call("POST", f"{VICTIM}/reload/").status_code == 200
    wait_for(lambda: remains(running, website) == [], what="nothing is left of it")


def server_pid_of(website: dict[str, Any], made: Platform) -> int:
    """Process 1 of the website, by what the supervisor has written down: it need not answer."""
    (instance,) = made.config.instances.glob(f"{website['id']}-*")
    return int((instance / "pid").read_text())


LEASES = """\
import fcntl, os, signal, time
signal.signal(signal.SIGIO, signal.SIG_IGN)  # which asks to give it up
log = "/var/log/leased-alice.localhost.error.log"
while True:
    try:
        fcntl.fcntl(os.open(log, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)
        print("leased", flush=True)
    except OSError:
        pass
    time.sleep(0.001)
"""


def test_a_lease_on_a_log_stops_nobody(alice: Account, bob: Account, victim: dict[str, Any]) -> None:
    """Who waits to open a leased file waits for 45 seconds."""
    log = alice.platform.config.logs / "alice" / "leased-alice.localhost.error.log"
    alice.write("quiet.py", "import os, time\nos.close(1), os.close(2)\ntime.sleep(0.5)\nraise SystemExit(1)\n")
    quiet = "/usr/bin/python3 quiet.py; : $DOMAIN_SOCKET"
    with site(alice, quiet, "leased-alice.localhost", enabled=False), hostile(alice, LEASES, wait=False):
        log.touch()
        shutil.chown(log, alice.home.stat().st_uid)
        wait_for(lambda: "leased" in alice.log(HOSTILE, "server"), what="the log is leased")
        alice.call("PATCH", "leased-alice.localhost/", json={"enabled": True})
        reload = f"{bob.platform.api}/api/v1/user/bob/websites/{VICTIM}/reload/"
        for _ in range(3):
            assert bob.session.post(reload, timeout=20).json() == {"status": "OK"}


FORGES = (
    "import os, socket\n"
    "path = os.environ['DOMAIN_SOCKET']\n"
    f"row = '\\n0: 00000002 00000000 00000000 0001 02 0 /var/sockets/{VICTIM}/app.sock'\n"
    "os.chdir(os.path.dirname(path))\n"
    "os.makedirs(os.path.dirname(row), exist_ok=True)\n"
    "server = socket.socket(socket.AF_UNIX)\n"
    "server.bind(row)\n"
    "server.listen()\n"
    "os.rename(row, path)\n"
    "while True:\n    server.accept()\n"
)


ABSTRACT = """\
import socket, time
server = socket.socket(socket.AF_UNIX)
server.bind("\\0\\na b c zz e f g h\\nffff: 00000002 00000000 zz 0001 01 1 x")
server.listen()
time.sleep(1000)
"""


def test_names_of_sockets_that_look_like_rows_of_the_kernels_table(
    running: Platform, alice: Account, victim: dict[str, Any]
) -> None:
    """One with a line break is not published: its connections would look like another website's. All are told why."""
    alice.write("abstract.py", ABSTRACT)
    with (
        hostile(alice, FORGES, wait=False),
        site(alice, "/usr/bin/python3 abstract.py", "abstract-alice.localhost") as told,
    ):
        assert "It listens on the unix socket" in told["state"]["detail"]
        forged = alice.get(HOSTILE)
        wait_for(lambda: alice.get(HOSTILE)["state"]["detail"], what="it is told why")
        assert list(running.config.live.glob(f"{forged['id']}-*")) == []
        assert f"/var/sockets/{VICTIM}/app.sock" not in procfs.queues()


RENAMED = PLAIN.replace(
    '    Server(os.environ["DOMAIN_SOCKET"], Handler).serve_forever()',
    '    path = os.environ["DOMAIN_SOCKET"]\n'
    "    server = Server(path + '.new', Handler)\n"
    "    os.rename(path + '.new', path)\n"
    "    server.serve_forever()",
)
FORKED = PLAIN.replace(
    '    Server(os.environ["DOMAIN_SOCKET"], Handler).serve_forever()',
    "    import subprocess, threading\n"
    '    if len(sys.argv) > 1:\n        Server(os.environ["DOMAIN_SOCKET"], Handler).serve_forever()\n'
    "    run = lambda: subprocess.run([sys.executable, 'hostile.py', 'server'])\n"
    "    thread = threading.Thread(target=run)\n    thread.start()\n    thread.join()",
)
RELATIVE = PLAIN.replace(
    '    Server(os.environ["DOMAIN_SOCKET"], Handler)',
    '    directory, _, name = os.environ["DOMAIN_SOCKET"].rpartition("/")\n'
    "    os.chdir(directory)\n    Server(name, Handler)",
)


@pytest.mark.parametrize("code", [RENAMED, FORKED, RELATIVE], ids=["renamed", "forked by a thread", "relative"])
def test_visitors_of_the_old_process_are_seen_however_it_listens(running: Platform, alice: Account, code: str) -> None:
    """One that streams is cut off by a reload only when the time to drain is up."""
    streams = "self.wfile.write(answer)\n        pathlib.Path(os.environ['HOME'], 'streams').touch()\n"
    waits = (
        "        while not os.path.exists(os.path.expanduser('~/go')):\n            __import__('time').sleep(0.01)\n"
    )
    code = code.replace("self.wfile.write(answer)\n", streams + waits)
    code = code.replace("str(len(answer)))", "str(len(answer) + 4))").replace(
        waits, f"{waits}        self.wfile.write(b'done')\n"
    )
    for name in ("go", "streams"):
        (alice.home / name).unlink(missing_ok=True)
    with hostile(alice, code) as website, ThreadPoolExecutor(1) as pool:
        assert website["state"]["status"] == "running", website["state"]
        visit = pool.submit(running.visit, HOSTILE)
        wait_for((alice.home / "streams").exists, what="a visitor is being answered")
        old = server_pid(running, website)
        assert alice.call("POST", f"{HOSTILE}/reload/").status_code == 200
        drained = running.config.drain_seconds / 2
        with pytest.raises(AssertionError):  # it stays, though it would be gone in half a second without a visitor
            wait_for(lambda: old not in [each["pid"] for each in sandboxes(running, website)], drained)
        alice.write("go", "")
        assert visit.result().text.endswith("done")


def test_an_end_is_noticed_though_its_reason_can_t_be_read(running: Platform, alice: Account) -> None:
    with hostile(alice, PLAIN) as website:
        log = running.config.logs / "alice" / "hostile-alice.localhost.error.log"
        log.unlink()
        log.mkdir()
        try:
            os.kill(server_pid(running, website), signal.SIGKILL)
            wait_for(lambda: alice.get(HOSTILE)["state"]["detail"], what="its end is told")
        finally:
            log.rmdir()
        alice.call("POST", f"{HOSTILE}/reload/")  # it may have failed so often meanwhile that it pauses
        assert running.visit(HOSTILE).status_code == 200


def test_a_name_that_could_not_be_led_is_led_later(running: Platform, alice: Account) -> None:
    routes, alias = running.config.routes, "other-alice.localhost"
    with hostile(alice, PLAIN):
        subprocess.run(["mount", "--bind", routes, routes], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", routes], check=True)
            added = alice.call("POST", f"{HOSTILE}/domains/", json={"domain_name": alias})
            assert added.status_code == 201, added.text
            assert running.visit(alias).status_code == 404
        finally:
            subprocess.run(["umount", routes], check=True)
        wait_for(lambda: running.visit(alias).status_code == 200, what="it is led to")


def test_of_very_many_visitors_some_are_told_at_once(running: Platform, alice: Account) -> None:
    """Each who is held takes a descriptor of the supervisor, which may open as many as the machine allows."""
    pid = running.pids()["supervisor"]
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    assert usual[0] == usual[1]
    domain, crowd, most = "crowded-alice.localhost", 60, 40
    (alice.home / "go").unlink(missing_ok=True)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (8 * most, usual[1]))  # of which a website may have an eighth
    try:
        with (
            starting(alice, "crowded.py", PLAIN, "/usr/bin/python3 crowded.py $DOMAIN_SOCKET", domain),
            ThreadPoolExecutor(crowd) as pool,
        ):
            visits = [pool.submit(running.visit, domain) for _ in range(crowd)]
            wait_for(lambda: sum(visit.done() for visit in visits) >= crowd - most, what="those beyond it are told")
            told = [visit.result() for visit in visits if visit.done()]
            assert {(visit.status_code, visit.headers["Retry-After"]) for visit in told} == {(503, "5")}
            alice.write("go", "")
            assert sorted(visit.result().status_code for visit in visits) == [200] * most + [503] * (crowd - most)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)


def test_what_a_visitor_gave_up_is_not_done_later(running: Platform, alice: Account) -> None:
    """Neither with a body, which is still in the socket when he leaves, nor without."""
    domain, counts = (
        "patient-alice.localhost",
        PLAIN.replace(
            "    def address_string", "    def do_POST(self):\n        self.do_GET()\n\n    def address_string"
        ).replace("        answer = json", "        print(self.command, self.path, flush=True)\n        answer = json"),
    )
    (alice.home / "go").unlink(missing_ok=True)
    with starting(alice, "patient.py", counts, "/usr/bin/python3 patient.py $DOMAIN_SOCKET", domain):
        visitors = [socket.create_connection(("127.0.0.1", running.http)) for _ in range(3)]
        for number, visitor in enumerate(visitors):
            body = "x" * 1000 * number
            head = f"{'POST' if body else 'GET'} /{number} HTTP/1.1\r\nHost: {domain}:{running.http}\r\n"
            visitor.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        asked = running.config.supervisor_socket  # by each who is held, and by whoever waits for its creation
        wait_for(lambda: connections(asked) >= 4, what="all are held, and looked out for")
        visitors[0].close()
        visitors[1].close()
        wait_for(lambda: held(running) == 1, what="two have left")
        alice.write("go", "")
        assert visitors[2].recv(12) == b"HTTP/1.1 200"
        visitors[2].close()
        assert alice.log(domain, "server").split("\n")[:-1] == ["POST /2"]
