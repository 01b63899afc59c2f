"""What the supervisor does with one instance and its names, where the machine does not go along."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import cast

import pytest

from hereabouts import config as configuration
from hereabouts.config import Config
from hereabouts.core.lifecycle import Phase
from hereabouts.core.webapp import Account, Alias, Website
from hereabouts.supervisor import procfs, routes
from hereabouts.supervisor.names import Certificates, Names
from hereabouts.supervisor.sandboxed import Record, Sandboxed

ALICE = Account("alice", os.geteuid())
WEBSITE = Website(1, "a.example.org", ALICE, "serve", True, 1, aliases=(Alias("b.example.org"), Alias("c.example.org")))


@pytest.fixture
def config(short_path: Path) -> Config:
    settings = {"HEREABOUTS_DATA_DIR": str(short_path / "var"), "HEREABOUTS_RUN_DIR": str(short_path / "run")}
    made = configuration.load(settings, short_path)
    made.routes.mkdir(parents=True)
    return made


def test_names_that_can_not_all_be_led_to_a_new_process_stay_with_the_old_one(config: Config) -> None:
    names = Names(config, cast("Certificates", None), lambda _: None, WEBSITE)
    names.lead("old")
    blocked = config.routes / "b.example.org"
    blocked.unlink()
    blocked.mkdir()
    with pytest.raises(OSError, match=r"b\.example\.org"):
        names.lead("new")
    assert routes.read(config) == {"a.example.org": "old", "c.example.org": "old"}
    blocked.rmdir()
    names.lead_again()
    assert routes.read(config) == dict.fromkeys(("a.example.org", "b.example.org", "c.example.org"), "old")


def test_one_whose_process_is_gone_accepts_nothing(config: Config) -> None:
    record = Record("1-1-00000000", 1, 1, WEBSITE.domain, ALICE, "serve", Phase.STARTING, 0.0, 0)
    (config.sockets / record.name).mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener, subprocess.Popen(["true"]) as ended:
        listener.bind(str(config.sockets / record.name / "app.sock"))
        listener.listen()
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        sandbox = Sandboxed(config, record, ended.pid, os.pidfd_open(ended.pid))
        assert not sandbox.accepts()
        sandbox.close()


def test_a_connection_counts_before_it_is_accepted(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "_FRESH_SECONDS", 0.0)  # else the table is read once for all who ask in one moment
    path = str(short_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as visitor:
        listener.bind(path)
        before = procfs.connections(os.getpid(), path)
        listener.listen()
        visitor.connect(path)
        assert procfs.connections(os.getpid(), path) == before + 1
        with listener.accept()[0]:
            assert procfs.connections(os.getpid(), path) == before + 1
        assert procfs.connections(os.getpid(), path) == before
