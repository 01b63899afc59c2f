"""The official client's certificates, against a running platform whose authority is a real Pebble."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.certificates.conftest import Stage, staged
from tests.integration.sites import PLAIN
from tests.platform import Account

Pa = Callable[..., subprocess.CompletedProcess[str]]
DOMAIN = "www.client.example.org"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as made:
        yield made


@pytest.fixture(scope="module")
def carla(stage: Stage) -> Account:
    """An account with a website that has a domain of its own."""
    made = stage.platform.account("carla")
    made.write("server.py", PLAIN)
    made.create("exec python3 server.py", DOMAIN)
    return made


@pytest.fixture
def run(client_programs: Path, carla: Account) -> Pa:
    """Runs a program of the client's environment as carla does after ``eval "$(hereabouts env carla)"``."""
    lines = carla.platform.cli("env", "carla").stdout.splitlines()
    exported = dict(shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in lines)
    environ = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "COLUMNS": "200", **exported}

    def call(program: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [client_programs / program, *words], env=environ, text=True, capture_output=True, timeout=120, check=False
        )

    return call


def test_create_autorenew_cert(stage: Stage, run: Pa) -> None:
    done = run("pa", "website", "create-autorenew-cert", "-d", DOMAIN)
    assert done.returncode == 0, done
    assert f"Applied auto-renewing SSL certificate for {DOMAIN}!" in " ".join(done.stdout.replace("|", " ").split())
    stage.trusted(DOMAIN)


def test_the_library_reads_what_is_answered(stage: Stage, run: Pa) -> None:
    code = f"""
import json
from dateutil.parser import parse
from pythonanywhere_core.website import Website

said = Website().auto_ssl({DOMAIN!r})
found = Website().get_ssl_info({DOMAIN!r})
print(json.dumps([said, found["subject_alternate_names"], parse(found["not_after"]).tzname()]))
"""
    done = run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"status": "OK"}, [DOMAIN], "UTC"]


def test_why_there_is_none_is_told(stage: Stage, carla: Account, run: Pa) -> None:
    stage.pebble.names.lead("www.elsewhere.example.org", "192.0.2.9")
    carla.call("POST", f"{DOMAIN}/domains/", json={"domain_name": "www.elsewhere.example.org"})
    done = run("pa", "website", "create-autorenew-cert", "-d", "www.elsewhere.example.org")
    assert done.returncode == 1
    assert "Applied" not in done.stdout
    assert "POST to set Let's Encrypt SSL certificate via API failed" in done.stderr
    assert "192.0.2.9" in done.stderr
