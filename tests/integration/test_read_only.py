"""A disk that becomes read-only in the middle of the platform's life, as ext4 does when it meets an error."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.authority import Authority
from tests.integration.dashboard.conftest import PASSWORD, Person
from tests.integration.sites import newer, sandboxes, server_pid
from tests.integration.test_faults import COMMAND, RECEIVES
from tests.platform import Account, Platform, platform, wait_for

DOMAIN, LATEST = "faults-carol.localhost", "latest-carol.localhost"
READ_ONLY = "attempt to write a readonly database"


class Disk:
    """An ext4 file system in a file, which the kernel makes read-only at its first error."""

    def __init__(self, directory: Path) -> None:
        image, self.at = directory / "image", directory / "disk"
        with image.open("wb") as file:
            file.truncate(1 << 30)
        self.at.mkdir()
        _run("mkfs.ext4", "-q", "-F", str(image))
        self.device = _run("losetup", "--find", "--show", str(image))

    def mount(self) -> None:
        _run("mount", "-o", "errors=remount-ro", self.device, str(self.at))
        self.at.chmod(0o755)

    def unmount(self) -> None:
        _run("umount", str(self.at))

    def fail(self) -> None:
        """What a bad sector does, without one."""
        Path(f"/sys/fs/ext4/{Path(self.device).name}/trigger_fs_error").write_text("1")
        with pytest.raises(OSError, match="Read-only file system"):
            (self.at / "probe").touch()

    def forbid(self) -> None:
        """What an operator's ``mount -o remount,ro`` does: unlike after an error, even the removal of what is not there
        is refused. (Of the same mount that is impossible while anybody writes.)"""
        _run("mount", "--bind", str(self.at), str(self.at))
        _run("mount", "-o", "remount,bind,ro", str(self.at))
        with pytest.raises(OSError, match="Read-only file system"):
            (self.at / "none").unlink(missing_ok=True)

    def mend(self) -> None:
        """What the operator does."""
        while self.at.is_mount():
            self.unmount()
        _run("e2fsck", "-fy", self.device, good=(0, 1))  # 1: what was wrong is right now
        self.mount()

    def remove(self) -> None:
        while self.at.is_mount():
            _run("umount", "--lazy", str(self.at))
        _run("losetup", "--detach", self.device)


def _run(*words: str, good: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode in good, f"{words}: {done}"
    return done.stdout.strip()


@pytest.fixture
def disk() -> Iterator[Disk]:
    with tempfile.TemporaryDirectory(prefix="hereabouts-disk-") as name:
        Path(name).chmod(0o755)
        made = Disk(Path(name))
        try:
            made.mount()
            yield made
        finally:
            made.remove()


@pytest.fixture
def place(disk: Disk) -> Iterator[Platform]:
    """A platform with all that it keeps on this disk."""
    with platform(DATA_DIR=f"{disk.at}/var", HOLD_SECONDS="3", START_SECONDS="60") as made:
        yield made


def _wanted(account: Account) -> list[dict[str, Any]]:
    """Every website as its owner made it."""
    answer = account.call("GET")
    assert answer.status_code == 200, answer.text
    return [{**website, "state": None} for website in answer.json()]


def _serves(place: Platform, domain: str) -> None:
    for _ in range(5):
        assert place.visit(domain).status_code == 200
        assert place.visit(domain, "/", "POST", data=b"x" * 100_000).text.startswith("100000 ")


def _kill(place: Platform, name: str) -> None:
    pid = place.pids()[name]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: place.pids().get(name) not in (pid, None), what=f"{name} is started again")


def _answers(account: Account, website: dict[str, Any]) -> bool:
    """Whether control and the supervisor are both there."""
    with contextlib.suppress(Exception):
        return bool(sandboxes(account.platform, website)) and account.call("GET").status_code == 200
    return False


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _sign_in(place: Platform) -> Person:
    """An operator's browser, with a message for its next page."""
    place.cli("user", "add", "olivia", "--operator", "--password-stdin", input=f"{PASSWORD}\n")
    olivia = Person(place).sign_in("olivia")
    assert olivia.post("/account/sessions/", {"session": "others"}).status_code == 303
    return olivia


def _pages_are_shown(place: Platform, olivia: Person) -> None:
    """Whoever is signed in sees how things are; who changes something is told why that can't be."""
    for path in (
        "/websites/",
        f"/websites/{DOMAIN}/",
        f"/websites/{DOMAIN}/domains/",
        "/operator/",
        "/operator/audit/",
    ):
        assert olivia.get(path).status_code == 200, path
    assert "All other sessions are ended." in olivia.get("/account/sessions/").text
    for refused in (
        olivia.post(f"/websites/{DOMAIN}/reload/", form=f"/websites/{DOMAIN}/"),
        Person(place).post("/sign-in/", {"username": "olivia", "password": PASSWORD}),
    ):
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert READ_ONLY in refused.text
        assert "hereabouts doctor" in refused.text


def test_a_disk_that_becomes_read_only(disk: Disk, place: Platform) -> None:
    carol = place.account("carol")
    carol.write("faults.py", RECEIVES)
    website = carol.create(COMMAND, DOMAIN)
    os.sync()  # the owner's files; what the platform has answered for must be on the disk by itself
    latest = carol.create(COMMAND, LATEST)
    cert, key = Authority().sign(DOMAIN)
    ssl = f"{place.api}/api/v1/user/carol/domains/{DOMAIN}/ssl/"
    assert carol.session.post(ssl, json={"cert": cert, "private_key": key}).json() == {"status": "OK"}
    olivia = _sign_in(place)
    disk.fail()
    before = _wanted(carol)
    processes = [server_pid(place, one) for one in (website, latest)]

    # Websites serve. What is wanted can be read, and not changed; whoever tries is told why, and what to do.
    for domain in (DOMAIN, LATEST):
        _serves(place, domain)
    body = {"domain_name": "more-carol.localhost", "webapp": {"command": COMMAND}}
    changes = [
        carol.call("POST", f"{DOMAIN}/reload/"),
        carol.call("PATCH", f"{DOMAIN}/", json={"enabled": False}),
        carol.call("POST", json=body),
        carol.call("DELETE", f"{DOMAIN}/"),
    ]
    for answer in changes:
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/json")
        assert READ_ONLY in answer.json()["detail"]
        assert "hereabouts doctor" in answer.json()["detail"]
    assert _wanted(carol) == before
    _pages_are_shown(place, olivia)

    # So is the operator.
    added = place.cli("user", "add", "dave", "--password-stdin", input="correct horse battery staple\n", check=False)
    assert (added.returncode, "Traceback" in added.stderr) == (1, False)
    assert READ_ONLY in added.stderr
    told = place.cli("doctor", check=False).stdout
    assert f"Nothing can be written to {place.config.data_dir}: Read-only file system" in told
    assert DOMAIN in place.cli("status").stdout

    # The platform's own processes are started again where they die: they have no log then, but they work.
    _kill(place, "supervisor")
    _kill(place, "control")
    wait_for(lambda: _answers(carol, website), what="control and supervisor answer")
    assert "starts without its log" in place.output.read_text(encoding="utf-8")
    assert carol.call("POST", f"{DOMAIN}/reload/").status_code == 503
    assert _wanted(carol) == before
    for domain in (DOMAIN, LATEST):
        _serves(place, domain)
    assert [server_pid(place, one) for one in (website, latest)] == processes

    # A website that dies now can't be started, which its visitors are told; the others go on.
    os.kill(processes[1], signal.SIGKILL)
    assert place.visit(LATEST).status_code == 503
    disk.forbid()
    _kill(place, "supervisor")
    wait_for(lambda: _answers(carol, website), what="the supervisor answers")
    supervisor = place.pids()["supervisor"]
    _serves(place, DOMAIN)
    time.sleep(2)  # for a first look at everything, after which it must be there still
    assert place.pids()["supervisor"] == supervisor

    # It stops as ever, and does not start before the disk is mended.
    assert place.stop() == 0
    assert [pid for pid in processes if _runs(pid)] == []
    refused = place.cli("up", check=False)
    assert refused.returncode == 1
    assert "Read-only file system" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr

    # Then everything is as it was.
    disk.mend()
    place.start()
    assert _wanted(carol) == before
    for domain in (DOMAIN, LATEST):
        _serves(place, domain)
        carol.write("faults.py", newer(RECEIVES))
        assert carol.call("POST", f"{domain}/reload/").json() == {"status": "OK"}
        assert place.visit(domain).json()["version"] == "the newer one"
    carol.delete(DOMAIN)
    assert [one["domain_name"] for one in _wanted(carol)] == [LATEST]
