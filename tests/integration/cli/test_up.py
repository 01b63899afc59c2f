"""The command against a running platform."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.platform import Account, Platform

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


def test_removing_an_account_ends_its_websites(running: Platform) -> None:
    carol: Account = running.account("carol")
    carol.session.trust_env = False  # REQUESTS_CA_BUNDLE would win over the bundle of this platform
    carol.create("python3 -c 'import os, socket; s = socket.socket(socket.AF_UNIX); "
                 "s.bind(os.environ[\"DOMAIN_SOCKET\"]); s.listen(); import signal; signal.pause()'")  # fmt: skip
    done = running.cli("user", "remove", "carol", "--yes")
    assert "carol.localhost" in done.stdout
    assert not carol.home.exists()
    assert not (running.config.logs / "carol").exists()
    assert running.visit("carol.localhost").status_code == 404
