"""What a tenant wrote does not steer the terminal of the operator who looks at it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from hereabouts.daemons.environ import environment
from tests.integration.accounts.conftest import House, house

HOSTILE = "[/x]\x1b[2J\tand\nmore\u202e[bold]"
SHOWN = "[/x]\\x1b[2J and more\\u202e[bold]"
DOMAIN = "alice.example.org"


@pytest.fixture(scope="module")
def place() -> Iterator[House]:
    """Alice's website with a hostile certificate, a hostile state and a hostile log."""
    with house() as made:
        token = made.cli("token", "create", "alice").strip()
        body = {"domain_name": DOMAIN, "webapp": {"command": "true"}}
        number = made.api("alice", token, "POST", json=body).json()["id"]
        with made.database() as database:
            database.execute(
                "INSERT INTO control_certificate (name, kind, issuer, subject, names, not_before, not_after, renew_at,"
                " fingerprint, asked_at, failures, next_try_at)"
                " VALUES (?, 'user-provided', ?, '', '[]', 0, 1, 0, 'aa', 0, 0, 0)",
                [DOMAIN, HOSTILE],
            )
            database.execute(
                "INSERT INTO control_observation (website_id, status, since, detail, serving, failed)"
                " VALUES (?, 'running', 0, ?, 0, 0)",
                [number, HOSTILE],
            )
        log = made.config.logs / "alice" / f"{DOMAIN}.error.log"
        log.write_bytes(b"fine: \xc3\xa9\t|\n" + HOSTILE.encode() + b"\r\n")
        yield made


def on_terminal(place: House, *words: str) -> str:
    """What the command prints where there is a terminal."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "hereabouts.cli.main", *words]
    environ = environment(place.config) | {"COLUMNS": "200", "TERM": "xterm"}
    seen = b""
    with subprocess.Popen(argv, env=environ, cwd="/", stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:  # EIO tells its end
            while piece := terminal.read(4096):
                seen += piece
    assert process.returncode == 0, seen
    return seen.decode()


def test_on_a_terminal(place: House) -> None:
    for words, shown in (
        (("certificates",), SHOWN),
        (("status",), "[/x]\\x1b[2J and"),
        (("logs", DOMAIN), "fine: é\t|\r\n[/x]\\x1b[2J\tand\r\nmore\\u202e[bold]\\r\r\n"),
    ):
        seen = on_terminal(place, *words)
        assert shown in seen, words
        assert "\x1b[2J" not in seen, words
        assert "\u202e" not in seen, words


def test_where_it_is_piped(place: House) -> None:
    rows = [line.split("\t") for line in place.cli("certificates").splitlines()]
    assert [row[:3] for row in rows] == [[DOMAIN, "uploaded", SHOWN]]
    (row,) = [line.split("\t") for line in place.cli("status").splitlines() if DOMAIN in line]
    assert row[-1] == "[/x]\\x1b[2J and (1 more)"
    assert "more\u202e[bold]" in place.cli("logs", DOMAIN)  # as it was written
