"""The units that `hereabouts install` writes are valid, and the platform runs as they say.

Where tests run, systemd need not: a few lines here start and signal processes as it would.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hereabouts.daemons import up
from hereabouts.sandbox import network
from tests.integration.sites import PLAIN, sandboxes, server_pid
from tests.platform import QUICK, Platform, wait_for

SERVICES = ("supervisor", "control", "certificates", "nginx")
PREPARE = "hereabouts-prepare.service"


@dataclass
class Manager:
    """What systemd does with the units in a directory."""

    directory: Path
    platform: Platform
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def unit(self, name: str) -> dict[str, str]:
        """The settings of its section [Service]."""
        parser = ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(self.directory / name)
        return dict(parser["Service"])

    def start(self, name: str) -> None:
        unit = self.unit(name)
        lines = shlex.split(Path(unit["EnvironmentFile"]).read_text(encoding="utf-8"))
        environ = {"PATH": os.environ["PATH"], **dict(line.split("=", 1) for line in lines)}
        log = unit.get("StandardOutput", f"append:{self.directory}/journal").removeprefix("append:")
        with Path(log).open("ab") as output:
            self.processes[name] = subprocess.Popen(
                shlex.split(unit["ExecStart"]), env=environ, cwd="/", stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip

    def end(self, name: str, number: signal.Signals | None = None) -> int:
        """Send a signal, by default what a stop sends; returns the exit code."""
        process = self.processes.pop(name)
        process.send_signal(number or signal.Signals[self.unit(name).get("KillSignal", "SIGTERM")])
        return process.wait(60)


@pytest.fixture
def manager() -> Iterator[Manager]:
    """All of a platform's units are started, as at boot."""
    with tempfile.TemporaryDirectory(prefix="hereabouts-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        made = Manager(Path(name) / "units", Platform(Path(name), QUICK))
        made.platform.cli("install", "--directory", str(made.directory))
        try:
            made.start(PREPARE)
            assert made.processes.pop(PREPARE).wait(60) == 0, (made.directory / "journal").read_text(encoding="utf-8")
            for service in SERVICES:
                made.start(_unit(service))
            wait_for(lambda: up.answers(made.platform.config), 60, "the platform answers")
            yield made
        finally:
            if _unit("supervisor") in made.processes:
                made.end(_unit("supervisor"), signal.SIGTERM)
            for service in list(made.processes):
                made.end(service)
            network.release(made.platform.config)


def _unit(service: str) -> str:
    return f"hereabouts-{service}.service"


def test_the_units_are_valid(running: Platform, tmp_path: Path) -> None:
    running.cli("install", "--directory", str(tmp_path))
    names = [str(path) for path in tmp_path.iterdir() if path.suffix in (".service", ".target")]
    assert len(names) == len(SERVICES) + 2
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "hereabouts.env").stat().st_mode & 0o777 == 0o600


def test_the_platform_runs_by_its_units(manager: Manager) -> None:
    made, supervisor = manager.platform, _unit("supervisor")
    alice = made.account("alice")
    alice.write("main.py", PLAIN)
    website = alice.create("/usr/bin/python3 main.py")
    assert website["state"]["status"] == "running", website["state"]

    # What looks at the platform finds its processes and their logs.
    found = json.loads(made.cli("status", "--json").stdout)["processes"]
    assert {each["name"]: each["pid"] for each in found} == {
        service: manager.processes[_unit(service)].pid for service in SERVICES
    }
    checks = {check["name"]: check for check in json.loads(made.cli("doctor", "--json", check=False).stdout)}
    assert checks[f"port {made.https}"]["found"] == "in use by this platform"
    assert manager.unit(supervisor)["StandardOutput"] == f"append:{made.config.platform_log('supervisor')}"
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
    assert manager.unit(supervisor)["Restart"] == "on-failure"
    assert manager.end(supervisor, signal.SIGTERM) == 0
    assert list(made.config.instances.iterdir()) == []
