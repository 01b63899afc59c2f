"""The units that `hereabouts install` writes are valid, and the platform runs, boots and is upgraded as they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from hereabouts import poke
from hereabouts.daemons import record, up
from hereabouts.errors import PlatformNotRunning
from tests.integration.api.test_postgresql import PASSWORD, Server
from tests.integration.sites import PLAIN, sandboxes, server_pid
from tests.integration.test_changes import applied, refuses, to_the_version_before, visitors
from tests.platform import Account, Platform, wait_for
from tests.systemd import PREPARE, SERVICES, Manager, installed, unit_of

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.fixture
def manager() -> Iterator[Manager]:
    """All of a platform's units are started, as at boot."""
    with installed() as made:
        made.boot()
        yield made


@pytest.fixture
def server() -> Iterator[Server]:
    """A PostgreSQL server that is not started yet."""
    with tempfile.TemporaryDirectory(prefix="hereabouts-postgresql-") as name:
        yield Server(Path(name))


def _alice(manager: Manager) -> Account:
    """An account with a website that runs."""
    alice = manager.platform.account("alice")
    alice.write("main.py", PLAIN)
    website = alice.create("/usr/bin/python3 main.py")
    assert website["state"]["status"] == "running", website["state"]
    return alice


def _pids(manager: Manager) -> dict[str, int]:
    return {name: process.pid for name, process in record.units(manager.platform.config).items()}


def test_the_units_are_valid(running: Platform, tmp_path: Path) -> None:
    running.cli("install", "--directory", str(tmp_path))
    names = [str(path) for path in tmp_path.iterdir() if path.suffix in (".service", ".target")]
    assert len(names) == len(SERVICES) + 2
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "hereabouts.env").stat().st_mode & 0o777 == 0o600


def test_nothing_is_begun_before_the_disk_of_the_data_is_there(running: Platform, tmp_path: Path) -> None:
    """Else a new, empty installation would be made below the place where the disk belongs."""
    running.cli("install", "--directory", str(tmp_path))
    units = Manager(tmp_path, running)
    assert str(running.config.data_dir) in shlex.split(units.section(PREPARE, "Unit")["RequiresMountsFor"])
    for service in SERVICES:
        unit = units.section(unit_of(service), "Unit")
        assert unit["Requires"] == unit["After"] == PREPARE  # so it must not be restarted by itself:
    assert units.section(PREPARE, "Unit")["RefuseManualStop"] == "yes"


def test_the_platform_runs_by_its_units(manager: Manager) -> None:
    made, supervisor = manager.platform, unit_of("supervisor")
    alice = _alice(manager)
    website = alice.get(alice.domain)

    # What looks at the platform finds its processes and their logs.
    found = json.loads(made.cli("status", "--json").stdout)["processes"]
    assert {each["name"]: each["pid"] for each in found} == {
        service: manager.processes[unit_of(service)].pid for service in SERVICES
    }
    checks = {check["name"]: check for check in json.loads(made.cli("doctor", "--json", check=False).stdout)}
    assert checks[f"port {made.https}"]["found"] == "in use by this platform"
    assert manager.section(supervisor)["StandardOutput"] == f"append:{made.config.platform_log('supervisor')}"
    refused = made.cli("up", check=False)
    assert refused.returncode == 1
    assert "systemd runs the platform" in refused.stderr

    # A supervisor that is stopped leaves the website to the next one; at TERM it ends websites and itself for good.
    pid = server_pid(made, website)
    assert manager.end(supervisor) == 0
    assert made.visit(alice.domain).status_code == 200
    manager.start(supervisor)
    wait_for(lambda: alice.call("POST", f"{alice.domain}/reload/").status_code == 200, what="the next one reloads it")
    assert made.visit(alice.domain).status_code == 200
    wait_for(lambda: pid not in [each["pid"] for each in sandboxes(made, website)], what="the old process has ended")
    assert manager.section(supervisor)["Restart"] == "on-failure"
    process = manager.processes[supervisor]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert list(made.config.instances.iterdir()) == []


def test_each_is_started_again_alone_and_websites_go_on(manager: Manager) -> None:
    made, alice = manager.platform, _alice(manager)
    website = server_pid(made, alice.get(alice.domain))
    back: dict[str, Callable[[], bool]] = {
        "control": lambda: up.answers(made.config),
        "certificates": lambda: _says_how_it_is(made.config.certificates_socket),
        "supervisor": lambda: _says_how_it_is(made.config.supervisor_socket),
    }
    restart = {service: manager.section(unit_of(service))["Restart"] for service in SERVICES}
    assert restart == {**dict.fromkeys(SERVICES, "always"), "supervisor": "on-failure"}
    for service, answers in back.items():
        with visitors(made, alice.domain):
            _kill(manager, service)
            wait_for(answers, what=f"{service} answers")
    _kill(manager, "nginx")  # whose visitors of that moment nobody can help
    wait_for(lambda: up.answers(made.config), what="nginx lets visitors in")
    assert made.visit(alice.domain).status_code == 200
    assert server_pid(made, alice.get(alice.domain)) == website
    assert alice.call("POST", f"{alice.domain}/reload/").status_code == 200


def _says_how_it_is(path: Path) -> bool:
    with suppress(PlatformNotRunning):
        return bool(poke.ask(path, "status", seconds=2))
    return False


def _kill(manager: Manager, service: str) -> None:
    """KILL one, and see that it is started again and no other is."""
    before = _pids(manager)
    os.kill(before[service], signal.SIGKILL)
    wait_for(lambda: _pids(manager).get(service) not in (before[service], None), what=f"{service} is started again")
    assert {name for name, pid in _pids(manager).items() if pid != before[name]} == {service}


def _procedure() -> list[str]:
    """The commands that docs/operating.md gives for an upgrade under systemd, without sudo and comments."""
    text = OPERATING.read_text(encoding="utf-8").partition("### Upgrade under systemd\n")[2]
    block = text.partition("```console\n")[2].partition("```")[0]
    lines = [line.removeprefix("$ ").removeprefix("sudo ").partition("  #")[0] for line in block.splitlines()]
    return [line.strip() for line in lines]


def _upgrade(manager: Manager, commands: list[str]) -> str | None:
    """Carry the procedure out; returns the command that failed, which ends it."""
    for line in commands:
        program, _, words = line.partition(" ")
        if line == ".venv/bin/hereabouts install":
            manager.install()
        elif program == "systemctl":
            if manager.obey(words):
                return line
        else:  # the code is the same here
            assert program in ("cd", "git", ".venv/bin/pip"), line
    return None


def test_an_upgrade_as_documented_is_noticed_by_no_visitor(manager: Manager) -> None:
    """With a setting of nginx and the tables changed. One that fails leaves all as it was."""
    made, commands, alice = manager.platform, _procedure(), _alice(manager)
    instances, before = sorted(made.config.instances.iterdir()), _pids(manager)
    assert set(before) == set(SERVICES)
    made.settings["HEREABOUTS_BODY_MB"] = "1"
    to_the_version_before(made)
    with closing(sqlite3.connect(made.config.sqlite_file)) as database, database:
        database.execute("CREATE TABLE control_auditentry (id integer)")  # the migration would make it
    with visitors(made, alice.domain):
        assert _upgrade(manager, commands) == "systemctl reload hereabouts-prepare"
        assert "the upgrade failed: " in manager.said()
        assert _pids(manager) == before
        with closing(sqlite3.connect(made.config.sqlite_file)) as database, database:
            database.execute("DROP TABLE control_auditentry")
        assert _upgrade(manager, commands) is None
        wait_for(lambda: refuses(made, alice.domain, 2 << 20), what="nginx has the new limit")
        wait_for(lambda: _says_how_it_is(made.config.supervisor_socket), what="the new supervisor answers")
        wait_for(lambda: up.answers(made.config), what="control answers")
    after = wait_for(lambda: len(pids := _pids(manager)) == len(SERVICES) and pids, what="all run")
    assert {name for name in SERVICES if after[name] == before[name]} == {"nginx"}
    assert sorted(made.config.instances.iterdir()) == instances
    assert applied(made)
    assert alice.call("POST", f"{alice.domain}/reload/").status_code == 200


def test_an_nginx_that_would_refuse_its_configuration_is_told_nothing(manager: Manager) -> None:
    made, alice = manager.platform, _alice(manager)
    certificate = made.config.certificates / "local" / "localhost.pem"
    kept = certificate.rename(certificate.with_name("kept"))
    before = _pids(manager)
    with visitors(made, alice.domain):
        assert manager.reload(unit_of("nginx")) == 1
        assert "nginx refuses its configuration" in made.config.platform_log("nginx").read_text(encoding="utf-8")
        kept.rename(certificate)
        assert manager.reload(unit_of("nginx")) == 0
    assert _pids(manager) == before


def test_a_database_that_comes_later_than_the_platform_is_waited_for(server: Server) -> None:
    """Nobody is there; then somebody who takes no connections yet, as after a crash; then all is well."""
    with installed(DATABASE=server.address()) as manager:
        prepare = manager.start(PREPARE)
        waits = "The database does not answer yet; waiting for it: "
        wait_for(lambda: re.search(f"{waits}.*refused", manager.said()), what="it says that it waits")
        server.start_recovery()
        try:
            wait_for(lambda: re.search(f"{waits}.*not accepting connections", manager.said()), what="it waits on")
            assert prepare.poll() is None
        finally:
            server.end_recovery()
        server.start()
        try:
            assert prepare.wait(60) == 0, manager.said()
            assert PASSWORD not in manager.said()
        finally:
            server.stop()


def test_what_time_does_not_mend_fails_at_once(server: Server) -> None:
    server.start()
    try:
        right = server.address()
        for address, words in {
            right.replace(quote(PASSWORD, safe=""), "wrong"): "password authentication failed",
            server.address("none"): 'database "none" does not exist',
            f"{right}?nonsense=1": "nonsense",
        }.items():
            with installed(DATABASE=address) as manager:
                assert manager.start(PREPARE).wait(60) == 1, manager.said()
                assert words in manager.said()
                assert "waiting" not in manager.said()
        with installed() as manager:
            settings = manager.directory / "hereabouts.env"
            settings.write_text(settings.read_text(encoding="utf-8") + 'HEREABOUTS_MEMORY="1"\n', encoding="utf-8")
            assert manager.start(PREPARE).wait(60) == 1
            assert "there is no such setting" in manager.said()
    finally:
        server.stop()
