"""The value types of an account and a website: what is taken, what is refused, what a command becomes."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hereabouts.core.webapp import (
    RESERVED_ACCOUNTS,
    Account,
    Website,
    expand_command,
    parse_account_name,
    parse_command,
    sandbox_token,
    sandbox_token_uid,
    socket_path,
)
from hereabouts.errors import InvalidInput

ALICE = Account("alice", 700_001)
SOCKET = "/var/sockets/alice.example.org/app.sock"


def website(command: str = "serve", domain: str = "alice.example.org") -> Website:
    return Website(7, domain, ALICE, command, True, 1)


@pytest.mark.parametrize(
    ("text", "name"),
    [("alice", "alice"), (" Alice ", "alice"), ("a", "a"), ("bob2", "bob2"), ("a" * 30, "a" * 30)],
)
def test_account_name_is_taken(text: str, name: str) -> None:
    assert parse_account_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["", " ", "2bob", "al-ice", "al_ice", "al.ice", "alicé", "a" * 31, "alice\n2", "a\0b", "../etc", "a b", "ａlice"],
)
def test_account_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_account_name(text)
    assert refusal.value.field == "username"
    assert "letter" in refusal.value.problem


@pytest.mark.parametrize("name", sorted(RESERVED_ACCOUNTS))
def test_reserved_account_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="reserved for the platform"):
        parse_account_name(name.upper())


@given(st.text())
def test_account_name_never_fails_otherwise(text: str) -> None:
    try:
        name = parse_account_name(text)
    except InvalidInput:
        return
    assert re.fullmatch(r"[a-z][a-z0-9]{0,29}", name)


def test_command_is_trimmed() -> None:
    assert parse_command("  uvicorn app:app\n") == "uvicorn app:app"
    assert parse_command("cd app\r\nuvicorn app:app\r\n") == "cd app\nuvicorn app:app"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "This field may not be blank."),
        (" \n\t", "This field may not be blank."),
        ("a\0b", "Null characters are not allowed."),
        ("x" * 8193, "Ensure the command has no more than 8192 bytes."),
        ("é" * 4097, "Ensure the command has no more than 8192 bytes."),
        ("echo \ud800", "The command holds characters that are not valid Unicode."),
    ],
)
def test_command_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_command(text)
    assert (refusal.value.field, refusal.value.problem) == ("command", problem)


def test_longest_command_is_taken() -> None:
    assert len(parse_command("é" * 4096)) == 4096


@given(st.text(alphabet=st.characters()))
def test_command_never_fails_otherwise(text: str) -> None:
    try:
        command = parse_command(text)
    except InvalidInput:
        return
    assert command
    assert len(command.encode()) <= 8192


@pytest.mark.parametrize(
    ("command", "expanded"),
    [
        ("uvicorn --uds $DOMAIN_SOCKET a:b", f"uvicorn --uds {SOCKET} a:b"),
        ("uvicorn --uds ${DOMAIN_SOCKET} a:b", f"uvicorn --uds {SOCKET} a:b"),
        ('gunicorn --bind "unix:$DOMAIN_SOCKET"', f'gunicorn --bind "unix:{SOCKET}"'),
        ("gunicorn --bind 'unix:${DOMAIN_SOCKET}'", f"gunicorn --bind 'unix:{SOCKET}'"),
        ("hypercorn -b unix:${DOMAIN_SOCKET}", f"hypercorn -b unix:{SOCKET}"),
        ('/bin/bash -lc "daphne -u \\$DOMAIN_SOCKET"', f'/bin/bash -lc "daphne -u {SOCKET}"'),
        ("a ${DOMAIN_SOCKET}x$DOMAIN_SOCKET.lock", f"a {SOCKET}x{SOCKET}.lock"),
        ("a $DOMAIN_SOCKETS ${DOMAIN_SOCKET_2} $DOMAIN_SOCKET_2 $DOMAIN", None),
        ("a DOMAIN_SOCKET {DOMAIN_SOCKET}", None),
    ],
)
def test_socket_variable_expands(command: str, expanded: str | None) -> None:
    assert expand_command(website(command)) == (expanded or command)


@pytest.mark.parametrize("word", ["$DOMAIN_SOCKET", "${DOMAIN_SOCKET}"])
@pytest.mark.parametrize(
    "form",
    [
        "printf %s {}", "printf %s '{}'", 'printf %s "{}"', "cd / && printf %s {}", "/bin/bash -c 'printf %s {}'",
        '/bin/bash -c "printf %s \'{}\'"', "/usr/bin/env K=V printf %s {}", "exec printf %s {} | cat",
    ],
)  # fmt: skip
def test_a_shell_reads_the_expanded_word_as_the_path(form: str, word: str) -> None:
    command = expand_command(website(form.replace("{}", word)))
    shown = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=True, env={})
    assert shown.stdout == SOCKET


def test_socket_path_of_a_longest_domain() -> None:
    assert socket_path(website(domain=".".join(["a" * 60] * 4))) == "/var/sockets/webapp-7/app.sock"


def test_socket_path_at_its_very_limit() -> None:
    room = 107 - len("/var/sockets//app.sock")
    assert len(socket_path(website(domain="d" * room))) == 107
    assert socket_path(website(domain="d" * (room + 1))) == "/var/sockets/webapp-7/app.sock"


def test_sandbox_token() -> None:
    token = sandbox_token(b"secret", ALICE)
    assert re.fullmatch(r"[0-9a-f]{40}", token)
    assert token == sandbox_token(b"secret", ALICE)
    others = {
        sandbox_token(b"another", ALICE),
        sandbox_token(b"secret", Account("bob", 700_001)),
        sandbox_token(b"secret", Account("alice", 700_001, token_epoch=1)),
    }
    assert sandbox_token_uid(token) == ALICE.uid
    assert token not in others
    assert len(others) == 3


@pytest.mark.parametrize("text", ["", "0" * 39, "0" * 41, "G" * 40, "A" * 40, "0" * 40 + "\n", "\u0660" * 40])
def test_what_is_no_token_is_nobodys(text: str) -> None:
    assert sandbox_token_uid(text) is None
