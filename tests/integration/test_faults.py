"""What befalls a machine: a full disk, a database locked or lost, numbers used again, kills amid changes."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from benchmarks.chaos import CONVERGE_SECONDS, Chaos

from hereabouts.daemons import record
from hereabouts.daemons.health import PROCESSES
from hereabouts.daemons.up import answers
from tests.integration.sites import PLAIN, held, newer, sandboxes, server_pid, site, starting
from tests.platform import Account, Platform, platform, wait_for

DOMAIN = "faults-carol.localhost"
COMMAND = "/usr/bin/python3 faults.py $DOMAIN_SOCKET"
SITE = PLAIN.replace(
    "def serve():\n", "def serve():\n    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"
).replace("    def address_string", "    def log_message(self, *_):\n        pass\n\n    def address_string")
"""The plain site, which writes no log: with print on a full disk it would break its answers off itself."""
RECEIVES = SITE.replace(
    "    def address_string",
    "    def do_POST(self):\n"
    "        import hashlib\n"
    "        left = size = int(self.headers['Content-Length'])\n"
    "        digest = hashlib.sha256()\n"
    "        while left:\n"
    "            piece = self.rfile.read(min(left, 1 << 16))\n"
    "            left -= len(piece)\n"
    "            digest.update(piece)\n"
    "        answer = f'{size} {digest.hexdigest()}'.encode()\n"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Length', str(len(answer)))\n"
    "        self.end_headers()\n"
    "        self.wfile.write(answer)\n\n"
    "    def address_string",
)
"""It answers to a POST with the size and the SHA-256 of what it received."""


@pytest.fixture(scope="module")
def place() -> Iterator[Platform]:
    """A platform whose data is on a small disk of its own, and which holds visitors for six seconds."""
    with tempfile.TemporaryDirectory(prefix="hereabouts-disk-") as disk:
        Path(disk).chmod(0o755)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700m,mode=755", "tmpfs", disk], check=True)
        try:
            with platform(DATA_DIR=f"{disk}/var", HOLD_SECONDS="6", START_SECONDS="60") as made:
                yield made
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture(scope="module")
def carol(place: Platform) -> Account:
    return place.account("carol")


@pytest.fixture(autouse=True)
def code(carol: Account) -> None:
    carol.write("faults.py", SITE)
    (carol.home / "go").unlink(missing_ok=True)


def _reloads(account: Account) -> bool:
    with contextlib.suppress(requests.RequestException):
        return account.call("POST", f"{DOMAIN}/reload/").status_code == 200
    return False


@contextlib.contextmanager
def _full(directory: Path) -> Iterator[None]:
    """Not a byte is free on this disk."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    try:
        yield
    finally:
        filler.unlink()


def test_a_full_disk(place: Platform, carol: Account) -> None:
    with site(carol, COMMAND, DOMAIN) as website:
        pid = server_pid(place, website)
        with _full(place.config.data_dir):
            assert [place.visit(DOMAIN).status_code for _ in range(5)] == [200] * 5
            answer = carol.call("POST", f"{DOMAIN}/reload/")
            assert answer.status_code in (502, 503)
            assert "No space left on device" in answer.text or "disk is full" in answer.text
            assert place.visit(DOMAIN).status_code == 200
        carol.write("faults.py", newer(SITE))
        wait_for(lambda: _reloads(carol), what="a reload once there is room")
        assert place.visit(DOMAIN).json()["version"] == "the newer one"
        wait_for(lambda: not psutil.pid_exists(pid))
        assert carol.get(DOMAIN)["state"]["detail"] is None


def test_a_locked_database(place: Platform, carol: Account) -> None:
    with site(carol, COMMAND, DOMAIN), ThreadPoolExecutor(1) as pool:
        holder = sqlite3.connect(place.config.sqlite_file, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        try:
            carol.write("faults.py", newer(SITE))
            reload = pool.submit(carol.call, "POST", f"{DOMAIN}/reload/")
            assert carol.get(DOMAIN)["state"]["status"] == "running"  # readers are not kept waiting
            assert [place.visit(DOMAIN).status_code for _ in range(20)] == [200] * 20
            assert not reload.done()
        finally:
            holder.rollback()
            holder.close()
        assert reload.result().status_code == 200
        assert place.visit(DOMAIN).json()["version"] == "the newer one"


def test_a_website_that_dies_while_the_database_is_locked(place: Platform, carol: Account) -> None:
    with site(carol, COMMAND, DOMAIN) as website, sqlite3.connect(place.config.sqlite_file) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        os.kill(server_pid(place, website), signal.SIGKILL)
        assert place.visit(DOMAIN).status_code == 200
        assert holder.in_transaction


def test_a_state_that_could_not_be_written_down_is_written_later(place: Platform, carol: Account) -> None:
    with starting(carol, "faults.py", SITE, COMMAND, DOMAIN):
        with _full(place.config.data_dir):
            (carol.home / "go").touch()
            assert place.visit(DOMAIN).status_code == 200
            assert carol.get(DOMAIN)["state"]["status"] == "starting"
        wait_for(lambda: carol.get(DOMAIN)["state"]["status"] == "running", what="its state is told")
        assert carol.get(DOMAIN)["state"]["detail"] is None


def test_a_database_that_is_gone_for_a_while(place: Platform, carol: Account) -> None:
    database = place.config.sqlite_file
    with site(carol, COMMAND, DOMAIN):
        away = database.with_name("away")
        database.parent.rename(away.parent.with_name("elsewhere"))
        try:
            assert place.visit(DOMAIN).status_code == 200
            answer = carol.call("GET")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert answer.json()["detail"].startswith(
                "The platform's database can't be used now: unable to open database file. Nothing was changed, "
                "websites serve on."
            )
            assert place.visit(DOMAIN).status_code == 200
        finally:
            away.parent.with_name("elsewhere").rename(database.parent)
        carol.write("faults.py", newer(SITE))
        wait_for(lambda: _reloads(carol), what="a reload with the database back")
        assert place.visit(DOMAIN).json()["version"] == "the newer one"


def test_a_number_used_again_is_nobody_of_ours(place: Platform, carol: Account) -> None:
    """A record of an earlier life names a process that is another's by now."""
    config = place.config
    with (
        site(carol, COMMAND, DOMAIN) as website,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as other,
    ):
        name = next(path.name for path in config.instances.glob(f"{website['id']}-*"))
        false = f"{website['id']}-1-00000000"
        for directory in (config.instances, config.run_dir / "oci"):
            shutil.copytree(directory / name, directory / false)
            for path in (directory / false).iterdir():
                text = path.read_text(encoding="utf-8").replace(name, false)
                path.write_text(text, encoding="utf-8")
        known_to_the_runtime_alone = config.run_dir / "oci" / f"{website['id']}-1-11111111"
        known_to_the_runtime_alone.mkdir()
        (config.instances / false / "pid").write_text(str(other.pid))
        state = config.run_dir / "oci" / false / "state.json"
        state.write_text(json.dumps({**json.loads(state.read_text()), "init_process_pid": other.pid}))
        _kill_supervisor(place)
        wait_for(lambda: not (config.instances / false).exists(), what="the false record is removed")
        wait_for(lambda: not known_to_the_runtime_alone.exists(), what="a record without an instance is removed")
        wait_for(lambda: _is_seen(place, website), what="the supervisor answers")
        assert [found["pid"] == other.pid for found in sandboxes(place, website)] == [False]
        assert place.visit(DOMAIN).status_code == 200
        assert other.poll() is None
        other.communicate(b"\n")
        assert other.returncode == 0


def _is_seen(made: Platform, website: dict[str, Any]) -> bool:
    with contextlib.suppress(Exception):
        return bool(sandboxes(made, website))
    return False


def _kill_supervisor(made: Platform) -> None:
    pid = made.pids()["supervisor"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: made.pids().get("supervisor") not in (pid, None), what="the supervisor is started again")


def test_held_for_too_long(place: Platform, carol: Account) -> None:
    with starting(carol, "faults.py", SITE, COMMAND, DOMAIN):
        answer = place.visit(DOMAIN)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "taking long to start" in answer.text


class _Body:
    """A body no part of which is like another; as it is sent, what was sent of it is noted."""

    def __init__(self, megabytes: int) -> None:
        self.size, self.sent, self.digest = megabytes << 20, 0, hashlib.sha256()
        self._piece = os.urandom((1 << 20) - 8)

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self.size >> 20):
            piece = number.to_bytes(8, "big") + self._piece
            self.digest.update(piece)
            yield piece
            self.sent += len(piece)

    def stalls(self) -> bool:
        """Whether no more of it is taken for now."""
        before = self.sent
        time.sleep(0.3)
        return self.sent == before


class _Growth(threading.Thread):
    """The most by which each of some processes grew while this ran, in bytes."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        super().__init__()
        self._begin = {process: process.memory_info().rss for process in processes}
        self._end = threading.Event()
        self.most = 0
        self.files: set[str] = set()

    def run(self) -> None:
        while not self._end.wait(0.02):
            for process, begin in self._begin.items():
                self.most = max(self.most, process.memory_info().rss - begin)
                self.files |= {file.path for file in process.open_files() if "/ingress/body/" in file.path}

    def __enter__(self) -> _Growth:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join()


def _post(made: Platform, body: _Body) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", made.http, timeout=60)
    headers = {"Host": f"{DOMAIN}:{made.http}", "Content-Length": str(body.size)}
    connection.request("POST", "/", iter(body), headers)
    return connection.getresponse().read().decode()


def test_a_large_body_is_not_kept_in_memory_while_it_isheld(place: Platform, carol: Account) -> None:
    """Nor is it in a file, or in the supervisor: it stays with the visitor. Then it arrives whole."""
    body, nginx = _Body(100), psutil.Process(place.pids()["nginx"])
    watched = [nginx, *nginx.children(), psutil.Process(place.pids()["supervisor"])]
    assert len(watched) > 2
    with (
        starting(carol, "faults.py", RECEIVES, COMMAND, DOMAIN),
        _Growth(watched) as growth,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(_post, place, body)
        wait_for(lambda: held(place) > 0, what="the body is held")
        wait_for(body.stalls, what="as much is sent as is taken while it is held")
        assert 0 < body.sent < body.size
        assert not answer.done()
        carol.write("go", "")
        assert answer.result() == f"{body.size} {body.digest.hexdigest()}"
        assert body.sent == body.size
    assert growth.most < 16 << 20
    assert growth.files == set()


@pytest.mark.parametrize("name", ["supervisor", "control", "certificates", "nginx", "worker", "up"])
def test_kills_in_the_middle_of_changes(place: Platform, carol: Account, name: str) -> None:
    """Whatever is killed, a caller who asks again gets what he wants, and nothing is left over."""
    chaos = Chaos(place, carol, seed=7)
    blow = {"worker": chaos.kill_worker, "up": chaos.kill_up}.get(name, partial(chaos.kill, name))
    body = {"domain_name": DOMAIN, "webapp": {"command": COMMAND}}
    changes: list[tuple[str, Callable[[], None], bool]] = [
        ("create", lambda: chaos.insist({201, 400}, "POST", "", json=body), True),
        ("reload", lambda: chaos.insist({200, 202}, "POST", f"{DOMAIN}/reload/"), True),
        ("delete", lambda: chaos.insist({204, 404}, "DELETE", f"{DOMAIN}/"), False),
    ]
    for what, change, serves in changes:
        changing = chaos.during(change, partial(blow, chaos.random))
        wait_for(chaos.complete, what=f"{what}: all processes run")
        began = time.monotonic()
        changing.join()
        wait_for(lambda serves=serves: _converged(chaos, serves=serves), what=f"{what}: {chaos.left}")
        assert time.monotonic() - began < CONVERGE_SECONDS, what
        assert chaos.late == []
    assert [blow.what for blow in chaos.blows] == [name] * 3


def _converged(chaos: Chaos, *, serves: bool) -> bool:
    with contextlib.suppress(requests.RequestException, OSError, ValueError):
        answer = chaos.account.call("GET")
        if answer.status_code != 200:
            return False
        websites = answer.json()
        if [DOMAIN] * serves != [website["domain_name"] for website in websites]:
            return False
        if serves and (websites[0]["state"]["status"] != "running" or not chaos.serves(DOMAIN)):
            return False
        wanted = {website["id"]: website["domain_name"] for website in websites}
        wanted[1] = "demo.localhost"  # the first run made it
        chaos.left = chaos.leftovers(set(wanted), set(wanted.values()))
        return not chaos.left
    return False


def test_what_dies_is_started_again_though_nobody_can_be_told(place: Platform) -> None:
    """`up` was killed; the next one's output goes to a disk that is full."""
    assert place.process
    place.process.kill()
    place.process.wait()
    with Path("/dev/full").open("w") as full:
        place.process = subprocess.Popen(
            [sys.executable, "-m", "hereabouts.cli.main", "up"], env=place.environ, cwd=place.directory,
            stdin=subprocess.DEVNULL, stdout=full, stderr=full, text=True,
        )  # fmt: skip
    mine = place.process.pid
    wait_for(lambda: set(record.running(place.config)) == set(PROCESSES) and place.pids()["up"] == mine, 90)
    for _ in range(2):
        control = place.pids()["control"]
        os.kill(control, signal.SIGKILL)
        wait_for(lambda control=control: place.pids()["control"] != control, what="control is started again")
        wait_for(lambda: answers(place.config), what="control answers")
    assert place.process.poll() is None


ORDERLY = """\
import os, pathlib, sys, time
pathlib.Path(f"began-{sys.argv[1]}").touch()
while not os.path.exists(f"go-{sys.argv[1]}"):
    time.sleep(0.01)
from faults import serve
serve()
"""
"""A site that tells when it begins, and serves when it may."""


def test_after_a_boot_the_latest_visited_start_first_and_only_a_few_at_once(place: Platform, carol: Account) -> None:
    places = 2 * (os.cpu_count() or 1)
    order = list(range(places + 4))  # from the latest visited to the one that nobody visited for longest
    random.Random(5).shuffle(order)
    carol.write("orderly.py", ORDERLY)
    domains = {number: f"boot{number}-carol.localhost" for number in order}
    for number, domain in domains.items():
        body = {"domain_name": domain, "enabled": False, "webapp": {"command": f"/usr/bin/python3 orderly.py {number}"}}
        assert carol.call("POST", json=body).status_code == 201
    place.stop()
    for age, number in enumerate(order):
        log = place.config.logs / "carol" / f"{domains[number]}.access.log"
        log.touch(0o666)
        os.utime(log, (2e9 - age, 2e9 - age))
    with contextlib.closing(sqlite3.connect(place.config.sqlite_file)) as database, database:
        database.execute("UPDATE control_website SET enabled = 1")
    place.start()

    def begun() -> set[int]:
        return {int(path.name.removeprefix("began-")) for path in carol.home.glob("began-*")}

    try:
        expected = set(order[:places])
        wait_for(lambda: len(begun()) >= places, what="as many as may begin")
        assert begun() == expected
        hurried = order.pop()
        expected.add(hurried)
        with ThreadPoolExecutor(1) as pool:
            visit = pool.submit(wait_for, lambda: place.visit(domains[hurried]).status_code == 200)
            wait_for(lambda: begun() == expected, what="the one that is visited begins, and no other")
            carol.write(f"go-{hurried}", "")
            visit.result()
        for done, following in zip(order, order[places:], strict=False):
            assert begun() == expected
            carol.write(f"go-{done}", "")
            expected.add(following)
            wait_for(lambda: begun() >= expected, what=f"{following} begins")
        assert begun() == expected
    finally:
        for number, domain in domains.items():
            carol.write(f"go-{number}", "")
            carol.delete(domain)


def _left(place: Platform) -> list[Path]:
    """What is there of sandboxes: their files, the runtime's records, their control groups and the ones above."""
    config = place.config
    found = [path for above in ("", "*/") for path in Path("/sys/fs/cgroup").glob(f"{above}hereabouts-{config.tag}")]
    return [*found, *config.instances.iterdir(), *(config.run_dir / "oci").iterdir()]


def test_stopped_before_it_came_to_keep_what_runs(place: Platform, carol: Account) -> None:
    carol.create(COMMAND, DOMAIN)
    database = place.config.sqlite_file
    elsewhere = database.with_name("elsewhere")
    elsewhere.mkdir()
    moved = [path.rename(elsewhere / path.name) for path in database.parent.glob(f"{database.name}*")]
    database.mkdir()
    try:
        log = place.config.logs / "platform" / "supervisor.log"
        before = log.read_text(encoding="utf-8").count(waits := "The database does not answer")
        _kill_supervisor(place)
        wait_for(lambda: log.read_text(encoding="utf-8").count(waits) > before + 1, what="it waits")
        assert _left(place) != []
        assert place.stop() == 0
        assert _left(place) == []
    finally:
        database.rmdir()
        for path in moved:
            path.rename(database.with_name(path.name))
        elsewhere.rmdir()
    place.start()
    carol.delete(DOMAIN)


def test_stopped_while_many_start(place: Platform, carol: Account) -> None:
    """The last of these tests: the platform stays stopped."""
    with ThreadPoolExecutor(12) as pool:
        for number in range(12):
            body = {"domain_name": f"n{number}-carol.localhost", "webapp": {"command": COMMAND}}
            pool.submit(carol.call, "POST", json=body)
        wait_for(lambda: len(list(place.config.instances.iterdir())) > 4, what="some start")
        assert place.stop() == 0
    assert _left(place) == []
