"""Accounts, tokens and what a shell needs, on a real database without a running platform."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
from pathlib import Path

import pytest

from .conftest import Run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PASSWORD = "correct horse battery staple\n"


@pytest.fixture
def alice(hereabouts: Run, tmp_path: Path) -> Path:
    """The data directory of a platform with the account alice."""
    done = hereabouts("user", "add", "alice", "--password-stdin", stdin=PASSWORD)
    assert done.returncode == 0, done.stderr
    return tmp_path / "data"


def test_add_makes_a_private_home(alice: Path, hereabouts: Run) -> None:
    home = (alice / "homes" / "alice").stat()
    (row,) = json.loads(hereabouts("user", "list", "--json").stdout)
    assert row == {"name": "alice", "uid": home.st_uid, "operator": False, "suspended": False, "websites": 0}
    assert stat.S_IMODE(home.st_mode) == 0o700


@pytest.mark.parametrize(
    ("name", "password", "words"),
    [
        ("alice", PASSWORD, "An account named alice exists already"),
        ("Al-ice", PASSWORD, "A user name is a letter followed by letters and digits"),
        ("admin", PASSWORD, "reserved"),
        ("bob", "x\n", "too short"),
    ],
)
def test_refuses(alice: Path, hereabouts: Run, name: str, password: str, words: str) -> None:
    done = hereabouts("user", "add", name, "--password-stdin", stdin=password)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_token_is_printed_alone_and_stored_as_a_hash(alice: Path, hereabouts: Run) -> None:
    token = hereabouts("token", "create", "alice").stdout
    assert re.fullmatch(r"[0-9a-f]{40}\n", token)
    assert token.strip().encode() not in b"".join(p.read_bytes() for p in (alice / "control").iterdir())
    assert hereabouts("token", "create", "alice").stdout != token


def test_revoking_changes_what_the_environment_carries(alice: Path, hereabouts: Run) -> None:
    before = hereabouts("env", "alice").stdout
    assert hereabouts("token", "revoke", "alice").returncode == 0
    assert hereabouts("env", "alice").stdout != before


def test_env_can_be_evaluated(alice: Path, hereabouts: Run, ports: list[int]) -> None:
    lines = dict(line.removeprefix("export ").split("=", 1) for line in hereabouts("env", "alice").stdout.splitlines())
    assert re.fullmatch(r"[0-9a-f]{40}", lines.pop("API_TOKEN"))
    assert lines == {
        "PYTHONANYWHERE_SITE": f"localhost:{ports[1]}",
        "PYTHONANYWHERE_DOMAIN": "localhost",
        "PYTHONANYWHERE_USERNAME": "alice",
        "REQUESTS_CA_BUNDLE": str(alice / "ca-bundle.pem"),
    }


@pytest.mark.parametrize("words", [("token", "create"), ("token", "revoke"), ("env",), ("user", "remove"), ("shell",)])
def test_an_unknown_account(alice: Path, hereabouts: Run, words: tuple[str, ...]) -> None:
    done = hereabouts(*words, "nobody")
    assert done.returncode == 1
    assert "There is no account named nobody" in done.stderr


def test_remove_asks_and_says_what_goes(alice: Path, hereabouts: Run) -> None:
    done = hereabouts("user", "remove", "alice", stdin="n\n")
    assert done.returncode == 1
    assert str(alice / "homes" / "alice") in done.stdout
    assert (alice / "homes" / "alice").exists()


def test_remove_does_not_follow_links(alice: Path, hereabouts: Run, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (alice / "homes" / "alice" / "link").symlink_to(outside)
    assert hereabouts("user", "remove", "alice", "--yes").returncode == 0
    assert (outside / "file").exists()
    assert not (alice / "homes" / "alice").exists()
    assert not (alice / "logs" / "alice").exists()
    assert json.loads(hereabouts("user", "list", "--json").stdout) == []


def test_a_database_of_a_newer_version(alice: Path, hereabouts: Run) -> None:
    with sqlite3.connect(alice / "control" / "hereabouts.sqlite3") as database:
        database.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('control', '9999_later', '2030-01-01')"
        )
    done = hereabouts("up")
    assert done.returncode == 1
    assert "newer version" in done.stderr
    assert "9999_later" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_without_a_running_platform(alice: Path, hereabouts: Run) -> None:
    found = json.loads(hereabouts("status", "--json").stdout)
    assert {process["state"] for process in found["processes"]} == {"stopped"}
    assert found["websites"] == []


def test_logs_of_an_unknown_website(alice: Path, hereabouts: Run) -> None:
    done = hereabouts("logs", "nothing.localhost")
    assert done.returncode == 1
    assert "There is no website nothing.localhost" in done.stderr
