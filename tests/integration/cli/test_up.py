"""The command against a running platform."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import psutil
import pytest

from tests.integration.sites import server_pid
from tests.platform import Account, Platform, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_a_second_one_is_told_of_the_first(running: Platform) -> None:
    done = running.cli("up", check=False)
    assert done.returncode == 1
    assert f"runs already (process {running.pids()['up']})" in done.stderr


def test_prints_the_panel_and_a_last_line(running: Platform) -> None:
    text = running.output.read_text(encoding="utf-8")
    assert re.search(r"user operator, password \S{12,}", text)
    assert f"\nReady: {running.api}\n" in text


def test_the_demo_of_the_reference_page_serves(running: Platform) -> None:
    assert running.visit("demo.localhost").json() == {"message": "Hello from FastAPI"}


def test_status_tells_of_processes_and_websites(running: Platform) -> None:
    found = json.loads(running.cli("status", "--json").stdout)
    assert {p["name"]: p["state"] for p in found["processes"]} == dict.fromkeys(
        ("up", "nginx", "control", "supervisor", "certificates"), "running"
    )
    demo = next(website for website in found["websites"] if website["domain"] == "demo.localhost")
    assert demo["state"] == "running"
    assert demo["memory_bytes"] > 1_000_000


def test_doctor_knows_its_own_ports(running: Platform) -> None:
    found = {check["name"]: check["found"] for check in json.loads(running.cli("doctor", "--json").stdout)}
    assert found[f"port {running.https}"] == "in use by this platform"


def test_shell_passes_the_exit_code_on(running: Platform) -> None:
    assert running.cli("shell", "demo", "--", "exit 7", check=False).returncode == 7


def test_logs(running: Platform) -> None:
    running.visit("demo.localhost", "/this-one")
    assert "GET /this-one HTTP/1.1" in running.cli("logs", "demo.localhost", "--access").stdout
    assert "Uvicorn running" in running.cli("logs", "demo.localhost").stdout


STAYS = """/usr/bin/python3 -c 'import os, signal, socket; signal.signal(signal.SIGTERM, signal.SIG_IGN);
s = socket.socket(socket.AF_UNIX); s.bind(os.environ["DOMAIN_SOCKET"]); s.listen(); [s.accept() for _ in iter(int, 1)]'
"""
"""Ends at KILL only."""


def begin(running: Platform, *words: str, **settings: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hereabouts.cli.main", *words]
    environ = running.environ | {f"HEREABOUTS_{name}": value for name, value in settings.items()}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environ, cwd="/", stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def is_suspended(running: Platform, name: str, websites: int) -> bool:
    rows = json.loads(running.cli("user", "list", "--json").stdout)
    return any((row["name"], row["suspended"], row["websites"]) == (name, True, websites) for row in rows)


def test_removing_an_account_ends_its_websites(running: Platform) -> None:
    """Also when a first run was interrupted; and nothing is begun by anybody meanwhile."""
    carol: Account = running.account("carol")
    server = psutil.Process(server_pid(running, carol.create(STAYS)))
    with begin(running, "shell", "carol", "--", "read") as console:  # which the first run waits for, whatever else ends
        with begin(running, "user", "remove", "carol", "--yes") as first:
            wait_for(lambda: is_suspended(running, "carol", websites=0))
            assert carol.call("GET").status_code == 401
            first.send_signal(signal.SIGINT)
            assert "carol.localhost" in first.communicate()[0]
        assert first.returncode != 0
        assert carol.home.exists()
        console.communicate("\n")
    assert "Removed carol." in running.cli("user", "remove", "carol", "--yes").stdout
    assert not server.is_running()
    assert not carol.home.exists()
    assert not (running.config.logs / "carol").exists()
    assert running.visit("carol.localhost").status_code == 404


def test_an_account_is_not_removed_from_under_a_console(running: Platform) -> None:
    dave: Account = running.account("dave")
    with begin(running, "shell", "dave", "--", "echo here; read") as console:
        assert console.stdout
        assert console.stdout.readline() == "here\n"
        with begin(running, "user", "remove", "dave", "--yes", DRAIN_SECONDS="0", STOP_SECONDS="0.1") as removal:
            said = removal.communicate()[1]
        assert removal.returncode == 1
        assert "1 process of dave did not end within 10.1 s" in said
        assert "A console may be open (`hereabouts shell dave`)." in said
        assert dave.home.exists()
        console.communicate("\n")
    assert "Removed dave." in running.cli("user", "remove", "dave", "--yes").stdout
    assert not dave.home.exists()
