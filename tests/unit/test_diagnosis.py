"""From the end of a log to the sentence that the owner reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hereabouts.supervisor.diagnosis import (
    Case,
    Ended,
    Killed,
    explain_elsewhere,
    explain_end,
    explain_loop,
    explain_silence,
    explain_so_far,
    last_error,
    without_loop,
)

TRACEBACK = """\
Traceback (most recent call last):
  File "/home/alice/app.py", line 1, in <module>
    import fastapy
ModuleNotFoundError: No module named 'fastapy'
"""
UVICORN = """\
INFO:     Started server process [1]
\x1b[31mERROR\x1b[0m:    Error loading ASGI app. Could not import module "main".
"""
GUNICORN = """\
[2026-01-01 00:00:00 +0000] [1] [ERROR] Exception in worker process
Traceback (most recent call last):
    raise AppImportError("Failed to find attribute %r in %r." % (name, module))
gunicorn.errors.AppImportError: Failed to find attribute 'app' in 'main'.
[2026-01-01 00:00:00 +0000] [1] [ERROR] Worker (pid:7) exited with code 4
[2026-01-01 00:00:00 +0000] [1] [ERROR] Shutting down: Master
[2026-01-01 00:00:00 +0000] [1] [ERROR] Reason: App failed to load.
"""


@pytest.mark.parametrize(
    ("errors", "line"),
    [
        ("", ""),
        ("\n \n", ""),
        ("all is well\n", "all is well"),
        (TRACEBACK, "ModuleNotFoundError: No module named 'fastapy'"),
        (TRACEBACK + "bye\n", "ModuleNotFoundError: No module named 'fastapy'"),
        (UVICORN, 'Error loading ASGI app. Could not import module "main".'),
        (GUNICORN, "gunicorn.errors.AppImportError: Failed to find attribute 'app' in 'main'."),
        ("SyntaxError: invalid syntax\n", "SyntaxError: invalid syntax"),
        ("KeyboardInterrupt\n", "KeyboardInterrupt"),
        ("Error: No such option: --udss\n", "No such option: --udss"),
        ("[hereabouts] 2026-01-01 00:00:00 ValueError: ours\n", ""),
        ("y" * 500, "y" * 300),
    ],
)
def test_last_error(errors: str, line: str) -> None:
    assert last_error(errors) == line


@pytest.mark.parametrize(
    ("ended", "errors", "command", "parts"),
    [
        (Ended(signal=9, killed=Killed()), "", "x", ["killed for memory", "256 MB", "fewer workers"]),
        (Ended(signal=9), "", "x", ["ended by signal 9 (SIGKILL)."]),
        (Ended(signal=11), "chatter\n", "x", ["ended by signal 11 (SIGSEGV)."]),
        (Ended(code=137), "", "x", ["signal 9 (SIGKILL)"]),
        (Ended(signal=6), TRACEBACK, "x", ["signal 6 (SIGABRT)", "ModuleNotFoundError"]),
        (Ended(signal=50), "", "x", ["signal 50 (unknown)"]),
        (Ended(), TRACEBACK, "x", ["while the supervisor was restarting", "ModuleNotFoundError"]),
        (
            Ended(code=127), "/bin/bash: line 1: uvicorm: command not found\n", "uvicorm app:app",
            ["Command not found: uvicorm.", "installed there"],
        ),
        (
            Ended(code=127), "/bin/bash: line 1: /home/alice/x: No such file or directory\n", "exec /home/alice/x",
            ["Command not found: /home/alice/x."],
        ),
        (Ended(code=127), "env: 'nope': No such file or directory\n", "env nope", ["Command not found: nope."]),
        (Ended(code=127), "/usr/bin/env: ‘nope’: No such file or directory\n", "env nope", ["not found: nope."]),
        (Ended(code=127), "", "lost --now", ["Command not found: lost."]),
        (
            Ended(code=126), "/bin/bash: line 1: /home/alice/run: Permission denied\n", "/home/alice/run",
            ["Permission denied: /home/alice/run can't be executed", "chmod +x"],
        ),
        (Ended(code=0), "", "daemon -d", ["exit code 0", "foreground", "--daemon"]),
        (Ended(code=1), TRACEBACK, "x", ["exited with code 1 before it listened", "fastapy"]),
        (Ended(code=3), "", "x", ["It exited with code 3 before it listened on $DOMAIN_SOCKET."]),
        (Ended(code=1), UVICORN, "x", ["Could not import module"]),
    ],
)  # fmt: skip
def test_explain_end(ended: Ended, errors: str, command: str, parts: list[str]) -> None:
    sentence = explain_end(ended, Case(command, errors, 256), served=False)
    for part in parts:
        assert part in sentence
    assert not sentence.endswith(" ")


def test_explain_end_of_one_that_served() -> None:
    assert "after it had served" in explain_end(Ended(code=1), Case("x"), served=True)


@pytest.mark.parametrize(
    ("ports", "errors", "command", "parts"),
    [
        ([8000], "", "uvicorn a:b", ["TCP port 8000 instead", "With uvicorn, write --uds $DOMAIN_SOCKET"]),
        ([80, 90], "", "gunicorn a:b", ["TCP ports 80, 90", "--bind unix:$DOMAIN_SOCKET"]),
        ([1], "", "hypercorn a:b", ["--bind unix:$DOMAIN_SOCKET"]),
        ([1], "", "granian a:b", ["With granian, write --uds"]),
        ([1], "", "daphne a:b", ["With daphne, write -u"]),
        (
            [1],
            "",
            "gunicorn -k uvicorn.workers.UvicornWorker --bind 0.0.0.0:1 a:b",
            ["With gunicorn, write --bind unix:$DOMAIN_SOCKET"],
        ),
        ([1], "", "/home/a/uvicorn-env/bin/hypercorn a:b", ["With hypercorn, write --bind unix:$DOMAIN_SOCKET"]),
        ([1], "", "cd uvicorn-demo && python3 -m daphne -p 1 a:b", ["With daphne, write -u"]),
        ([1], "", "bash -lc 'workon venv && exec granian a:b'", ["With granian, write --uds"]),
        ([1], "", "python3 gunicorn.py", ["Make it listen on the unix socket"]),
        ([1], "", "node server.js", ["Make it listen on the unix socket"]),
        (
            [],
            "PermissionError: [Errno 13] Permission denied: '/x'",
            "a $DOMAIN_SOCKET",
            ["after 60 s: permission", "/x"],
        ),
        ([], "", "uvicorn a:b", ["the command does not name it", "--uds $DOMAIN_SOCKET"]),
        ([], "", "a $DOMAIN_SOCKET", ["It does not listen on $DOMAIN_SOCKET after 60 s."]),
        ([], "waiting for the database", "a $DOMAIN_SOCKET", ["waiting for the database"]),
    ],
)
def test_explain_silence(ports: list[int], errors: str, command: str, parts: list[str]) -> None:
    sentence = explain_silence(60.0, ports, [], Case(command, errors))
    for part in parts:
        assert part in sentence


CODES = st.one_of(st.none(), st.integers(0, 255))


@given(CODES, st.one_of(st.none(), st.integers(1, 64)), st.booleans(), st.text(), st.text(min_size=1), st.booleans())
def test_every_end_has_a_sentence(
    code: int | None, number: int | None, memory: bool, errors: str, command: str, served: bool
) -> None:
    if not command.strip():
        return
    killed = Killed(512, 512, "python", 500) if memory else None
    sentence = explain_end(Ended(code, number, killed), Case(command.strip(), errors), served=served)
    assert sentence
    assert len(sentence) < 1000 + len(command)
    assert explain_silence(3, [], [], Case(command, errors))
    assert explain_elsewhere([1], [], command)


@pytest.mark.parametrize(
    ("errors", "crowded", "start"),
    [
        ("RuntimeError: can't start new thread\n", False, "It has too many processes"),
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable\n", False, "It has too many processes"),
        ("bash: fork: retry: Resource temporarily unavailable\n", False, "It has too many processes"),
        ("", True, "It has too many processes: more than its limit, processes = 256, threads included. Start"),
        ("OSError: [Errno 28] No space left on device: '/home/alice/x'\n", False, "The disk is full. The last error"),
        ("sqlite3.OperationalError: database or disk is full\n", False, "The disk is full."),
        ("OSError: [Errno 28] No space left on device\nValueError: since then\n", False, "It exited with code 1"),
    ],
)
def test_shortages(errors: str, crowded: bool, start: str) -> None:
    case = Case("a $DOMAIN_SOCKET", errors, crowded=crowded)
    assert explain_end(Ended(code=1), case, served=False).startswith(start)
    assert explain_silence(60, [], [], case).startswith(start) or start.startswith("It exited")


def test_one_that_takes_no_connection() -> None:
    """Another socket beside its own is no fault, such as the one by which gunicorn is controlled."""
    sentence = explain_silence(60, [], ["/home/alice/.gunicorn/gunicorn.ctl"], Case("gunicorn a:b"), listens=True)
    assert sentence.startswith("It listens on $DOMAIN_SOCKET, but has taken no connection after 60 s. Its workers")


def test_another_socket() -> None:
    sentence = explain_silence(60, [], ["/home/alice/mine.sock"], Case("uvicorn --uds /home/alice/mine.sock a:b"))
    assert sentence == (
        "It listens on the unix socket /home/alice/mine.sock instead of $DOMAIN_SOCKET. "
        "With uvicorn, write --uds $DOMAIN_SOCKET in place of that path."
    )


def test_a_port_besides_is_not_said_to_be_in_place_of_the_socket() -> None:
    case = Case("uvicorn --uds $DOMAIN_SOCKET a:b", "ConnectionError: the database is away\n")
    assert explain_silence(60, [9100], [], case) == (
        "It does not listen on $DOMAIN_SOCKET after 60 s, only on TCP port 9100. The last error in its log: "
        "ConnectionError: the database is away. Do what takes long after the start, or ask the operator for a longer "
        "start_seconds."
    )


def test_what_a_program_may_still_do_is_left_open() -> None:
    assert explain_so_far([8000], [], "uvicorn --port 8000 a:b") == explain_elsewhere([8000], [], "uvicorn a:b")
    assert explain_so_far([9100], [], "node server.js").startswith(
        "So far it listens on TCP port 9100, not on $DOMAIN_SOCKET. Make it listen on the unix socket"
    )


def test_a_crash_loop() -> None:
    told = explain_loop("It exited with code 3.", 5, 5714.0, 6020.0)
    assert told == ("It failed 5 times in a row since 01:35:14 UTC; next try at 01:40:20 UTC. It exited with code 3.")
    assert without_loop(told) == without_loop(explain_loop("It exited with code 3.", 2, 0, None))
    assert without_loop("It exited with code 3.") == "It exited with code 3."


@pytest.mark.parametrize(
    ("errors", "remedy"),
    [
        ("ModuleNotFoundError: No module named 'fastest'", "Install it in the virtual environment"),
        ('ERROR: Error loading ASGI app. Could not import module "nope".', "Check the name"),
        ("sqlite3.OperationalError: no such table: users", "Mend what it names"),
        ("PermissionError: [Errno 13] Permission denied: '/usr/x.db'", "Use a path in the home"),
        ("", "It wrote nothing to its error log"),
    ],
)
def test_an_exit_comes_with_a_remedy(errors: str, remedy: str) -> None:
    assert f". {remedy}" in explain_end(Ended(code=1), Case("serve", errors), served=False)


@pytest.mark.parametrize(("number", "remedy"), [(9, "The platform did not send it"), (11, "Native code failed")])
def test_a_signal_comes_with_a_remedy(number: int, remedy: str) -> None:
    assert f". {remedy}" in explain_end(Ended(signal=number), Case("serve"), served=True)
