"""What systemd does with the units that `hereabouts install` writes, as far as they ask for it.

Where tests run, systemd need not be process 1: a few lines here start, signal, reload and start again as it would.
A unit's control group is here the session that its main process leads.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path

from hereabouts.daemons import processes, record, up
from hereabouts.daemons.processes import Process
from hereabouts.sandbox import network
from tests.platform import QUICK, Platform, wait_for

SERVICES = ("supervisor", "control", "certificates", "nginx")
PREPARE = "hereabouts-prepare.service"
_CLEAN = {0, *(-number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE))}
"""Ends that are no failure (systemd.service(5), Restart=)."""


def unit_of(service: str) -> str:
    """The unit's name of one of the platform's processes."""
    return f"hereabouts-{service}.service"


class Manager:
    """What systemd does with the units in a directory."""

    def __init__(self, directory: Path, platform: Platform) -> None:
        self.directory, self.platform = directory, platform
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.journal = directory / "journal"
        self._lock = threading.RLock()

    def install(self) -> None:
        """Have the units written, with the settings that the platform has now."""
        self.platform.cli("install", "--directory", str(self.directory))

    def section(self, name: str, section: str = "Service") -> dict[str, str]:
        """A section of a unit."""
        parser = ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(self.directory / name)
        return dict(parser[section])

    def said(self) -> str:
        """What went to the journal."""
        return self.journal.read_text(encoding="utf-8")

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Run what the unit starts, and run it again when it ends, where the unit says so."""
        with self._lock:
            process = self.processes[name] = self._run(name, "ExecStart")
        if "Restart" in self.section(name):
            threading.Thread(target=self._tend, args=(name, process), daemon=True).start()
        return process

    def reload(self, name: str) -> int:
        """Run what the unit reloads with; returns its exit code."""
        return self._run(name, "ExecReload").wait(120)

    def end(self, name: str, number: signal.Signals | None = None) -> int:
        """Send a signal, by default what a stop sends; returns the main process's exit code."""
        with self._lock:
            process = self.processes.pop(name)
        leader = processes.find(process.pid)
        process.send_signal(number or self._stop_signal(name))
        code = process.wait(60)
        self._end_others(name, leader)
        return code

    def boot(self) -> None:
        """Start all, in their order, and wait until visitors are let in."""
        assert self.start(PREPARE).wait(60) == 0, self.said()
        for service in SERVICES:
            self.start(unit_of(service))
        wait_for(lambda: up.answers(self.platform.config), 60, "the platform answers")
        wait_for(lambda: set(record.units(self.platform.config)) == set(SERVICES), 60, "all run")

    def obey(self, line: str) -> int:
        """A ``systemctl`` command; returns the exit code."""
        command, *names = line.split()
        if command == "daemon-reload":  # units are read anew each time here
            return 0
        assert command in ("reload", "restart"), line
        codes = [self._obey(command, f"{name}.service") for name in names]
        return next(filter(None, codes), 0)

    def _obey(self, command: str, name: str) -> int:
        if command == "reload":
            return self.reload(name)
        assert "RefuseManualStop" not in self.section(name, "Unit"), f"systemd refuses to restart {name}"
        self.end(name)
        self.start(name)
        return 0

    def _run(self, name: str, key: str) -> subprocess.Popen[bytes]:
        unit = self.section(name)
        lines = shlex.split(Path(unit["EnvironmentFile"]).read_text(encoding="utf-8"))
        environ = {"PATH": os.environ["PATH"], **dict(line.split("=", 1) for line in lines)}
        log = unit.get("StandardOutput", f"append:{self.journal}").removeprefix("append:")
        with Path(log).open("ab") as output:
            return subprocess.Popen(
                shlex.split(unit[key]), env=environ, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    def _tend(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Wait for a main process's end, and start it again where the unit wants that."""
        leader = processes.find(process.pid)
        code, unit = process.wait(), self.section(name)
        if self.processes.get(name) is not process:  # it was stopped
            return
        self._end_others(name, leader)
        if unit["Restart"] == "on-failure" and code in _CLEAN:
            return
        time.sleep(int(unit["RestartSec"].removesuffix("ms")) / 1000)
        with self._lock:
            if self.processes.get(name) is process:
                self.start(name)

    def _stop_signal(self, name: str) -> signal.Signals:
        return signal.Signals[self.section(name).get("KillSignal", "SIGTERM")]

    def _end_others(self, name: str, leader: Process | None) -> None:
        """End what is left in the unit's control group, as its KillMode says (systemd.kill(5))."""
        mode = self.section(name).get("KillMode", "control-group")
        for other in processes.session_members(leader) if leader and mode != "process" else ():
            processes.send(other, signal.SIGKILL if mode == "mixed" else self._stop_signal(name))


@contextmanager
def installed(**settings: str) -> Iterator[Manager]:
    """The units of a platform in a directory of its own; at the end all of it is gone."""
    with tempfile.TemporaryDirectory(prefix="hereabouts-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        made = Manager(Path(name) / "units", Platform(Path(name), {**QUICK, **settings}))
        made.install()
        try:
            yield made
        finally:
            if unit_of("supervisor") in made.processes:
                made.end(unit_of("supervisor"), signal.SIGTERM)
            for unit in list(made.processes):
                made.end(unit)
            network.release(made.platform.config)
