"""A website that does not come up says why: in its state and in its error log.

The table in docs/logs-and-states.md is the list of what is tried: each of its rows has a website here that fails so.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.sites import ANSWERS, BIN, PLAIN, answering, attended, server_pid, uvicorn
from tests.platform import QUICK, Account, platform, wait_for

START_SECONDS = QUICK["START_SECONDS"]
SIDE_BY_SIDE = 8
"""So many cases are tried at a time: most of them wait for a time to be up."""


Tried = dict[tuple[Callable[..., Any], str], "Future[Any]"]
"""What came of each case, by how it was tried and its name."""


@dataclass(frozen=True)
class Ill:
    """A website with a name, a module and logs of its own, so that many can fail side by side."""

    alice: Account
    name: str

    @property
    def domain(self) -> str:
        return f"{self.name}-alice.localhost"

    @property
    def module(self) -> str:
        """What stands in the home for the ``ill`` of a command."""
        return f"ill_{self.name.replace('-', '_')}"

    def command(self, text: str) -> str:
        return re.sub(r"\bill(?=:app|\.py)", self.module, text)

    def write(self, code: str) -> None:
        self.alice.write(f"{self.module}.py", code)

    def create(self, command: str, code: str | None = None) -> dict[str, Any]:
        if code is not None:
            self.write(code)
        return self.alice.create(self.command(command), self.domain)

    def visit(self, path: str = "/", method: str = "GET", **kwargs: Any) -> requests.Response:
        return self.alice.platform.visit(self.domain, path, method, **kwargs)

    def detail(self) -> str:
        return str(self.alice.get(self.domain)["state"]["detail"])

    def some_detail(self) -> str:
        return str(wait_for(lambda: self.alice.get(self.domain)["state"]["detail"], what=f"{self.domain}'s detail"))

    def noted(self) -> str:
        """What the platform wrote into the error log."""
        lines = self.alice.log(self.domain, "error").splitlines()
        return "\n".join(line for line in lines if line.startswith("[hereabouts] "))

    def listed(self) -> str:
        """What ``hereabouts status`` says why."""
        websites = json.loads(self.alice.platform.cli("status", "--json").stdout)["websites"]
        return next(str(website["detail"]) for website in websites if website["domain"] == self.domain)

    def note(self, beginning: str) -> str:
        """The line of the platform's that begins so, once it is there."""
        return str(wait_for(lambda: re.search(f"{beginning}.*", self.noted()), what=f"{self.domain}: {beginning}")[0])


@contextmanager
def _ill(alice: Account, name: str) -> Iterator[Ill]:
    """A name for a website that is gone afterwards, if it was made."""
    try:
        yield Ill(alice, name)
    finally:
        alice.call("DELETE", f"{name}-alice.localhost/")


CAUSES = {
    "command not found": (
        "/home/alice/nowhere/uvicorn --uds $DOMAIN_SOCKET ill:app",
        "",
        r"Command not found: /home/alice/nowhere/uvicorn\. Check the path",
    ),
    "command not found by env": (
        "/usr/bin/env KIND=env nowherevicorn --uds $DOMAIN_SOCKET ill:app",
        "",
        r"Command not found: nowherevicorn\. ",
    ),
    "command not found after cd": (
        "cd ~ && nowherevicorn --uds $DOMAIN_SOCKET ill:app",
        "",
        r"Command not found: nowherevicorn\. ",
    ),
    "directory not there": (
        f"cd nowhere && {BIN}/uvicorn --uds $DOMAIN_SOCKET ill:app",
        "",
        r"code 1 before it listened.*nowhere: No such file or directory",
    ),
    "wrong interpreter": (
        "/usr/bin/python3 -m uvicorn --uds $DOMAIN_SOCKET ill:app",
        "",
        r"code 1 before it listened.*No module named uvicorn",
    ),
    "interpreter of a script gone": (
        "./gone.sh $DOMAIN_SOCKET",
        "",
        r"(Command not found|Permission denied): \./gone\.sh",
    ),
    "site not there": (
        uvicorn("not_there"),
        "",
        r'code \d before it listened.*Could not import module "not_there"',
    ),
    "library not there": (
        uvicorn("ill"),
        "import fastest\n",
        r"code 1 before it listened.*: ModuleNotFoundError: No module named 'fastest'",
    ),
    "name not there": (
        uvicorn("ill"),
        "from os import paths\n",
        r"code 1 before it listened.*: ImportError: cannot import name 'paths' from 'os'",
    ),
    "syntax error": (uvicorn("ill"), "def app(:\n", r"code 1 before it listened.*: SyntaxError: invalid syntax"),
    "own exception": (
        uvicorn("ill"),
        "class NoDatabase(Exception): pass\nraise NoDatabase('it is at lunch')\n",
        r"code 1 before it listened.*NoDatabase: it is at lunch",
    ),
    "import error under gunicorn": (
        f"{BIN}/gunicorn -k uvicorn_worker.UvicornWorker --bind unix:$DOMAIN_SOCKET ill:app",
        "import fastest\n",
        r"code 3 .*: ModuleNotFoundError: No module named 'fastest'",
    ),
    "exit code": ("exit 7", "", r"exited with code 7 before it listened on \$DOMAIN_SOCKET\."),
    "ends well": ("true $DOMAIN_SOCKET", "", r"ended by itself with exit code 0\. .*--daemon"),
    "signal": ("/usr/bin/python3 ill.py", "import ctypes\nctypes.string_at(0)\n", r"signal 11 \(SIGSEGV\)"),
    "memory": (
        "/usr/bin/python3 ill.py",
        "kept = []\nwhile True:\n    kept.append(bytearray(8 << 20))\n",
        r"killed for memory: it needed more than its 256 MB",
    ),
    "not executable": (
        "./ill.py $DOMAIN_SOCKET",
        "#!/usr/bin/python3\n",
        r"Permission denied: \./ill\w*\.py.*chmod \+x",
    ),
    "socket elsewhere": (
        uvicorn("ill").replace("$DOMAIN_SOCKET", "/var/sockets/mine.sock"),
        ANSWERS,
        r"code \d+ before it listened.*Permission denied",
    ),
}


def _cause(alice: Account, cause: str) -> tuple[str, list[str]]:
    """The state that the answer to the creation tells of, and where its cause is told: there, later, in the log."""
    command, code, _ = CAUSES[cause]
    with _ill(alice, f"cause-{list(CAUSES).index(cause)}") as ill:
        website = ill.create(command, code)
        return website["state"]["status"], [website["state"]["detail"], ill.detail(), ill.noted()]


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_named(tried: Tried, cause: str) -> None:
    status, told = tried[_cause, cause].result()
    assert status in ("restarting", "crashed")
    for place in told:
        assert re.search(CAUSES[cause][2], place, re.DOTALL)


PORTS = {
    "uvicorn": (f"{BIN}/uvicorn --port 8765 ill:app", 8765, "uvicorn", "--uds $DOMAIN_SOCKET"),
    "gunicorn": (
        f"{BIN}/gunicorn -k uvicorn.workers.UvicornWorker --bind 0.0.0.0:8766 ill:app",
        8766,
        "gunicorn",
        "--bind unix:$DOMAIN_SOCKET",
    ),
    "hypercorn": (f"{BIN}/hypercorn --bind 127.0.0.1:8767 ill:app", 8767, "hypercorn", "--bind unix:$DOMAIN_SOCKET"),
    "hypercorn beside uvicorn": (
        "/home/alice/uvicorn-env/bin/hypercorn --bind 127.0.0.1:8770 ill:app",
        8770,
        "hypercorn",
        "--bind unix:$DOMAIN_SOCKET",
    ),
    "granian": (f"{BIN}/granian --interface asgi --port 8768 ill:app", 8768, "granian", "--uds $DOMAIN_SOCKET"),
    "daphne": (f"{BIN}/daphne -p 8769 ill:app", 8769, "daphne", "-u $DOMAIN_SOCKET"),
}


SILENT = {
    name: (
        command,
        f"It listens on TCP port {port} instead of $DOMAIN_SOCKET. "
        f"With {server}, write {flag} in place of its host and port.",
    )
    for name, (command, port, server, flag) in PORTS.items()
} | {
    "silently": ("sleep 1000; : $DOMAIN_SOCKET", f"It does not listen on $DOMAIN_SOCKET after {START_SECONDS} s."),
    "unnamed by it": (
        "sleep 1000",
        f"It does not listen on $DOMAIN_SOCKET after {START_SECONDS} s, and the command does not name it.",
    ),
    "worker": (
        f"{BIN}/gunicorn -k uvicorn_worker.UvicornWorker --bind unix:$DOMAIN_SOCKET greedy:app",
        "It was killed for memory: it needed more than its 256 MB.",
    ),
}


def _silent(alice: Account, server: str) -> list[str]:
    """What the answer to its creation says, and later its state and its log, once they say what is wanted.

    The answer about workers comes when the time is up, which may be before the first of them has been killed.
    """
    command, wanted = SILENT[server]
    with _ill(alice, f"silent-{list(SILENT).index(server)}") as ill:
        first = ill.create(command, ANSWERS)["state"]["detail"]
        if server == "worker" and f"has taken no connection after {START_SECONDS} s" in first:
            first = wanted
        wait_for(lambda: wanted in ill.detail() and wanted in ill.noted(), what=f"{server}: {wanted}")
        return [first, ill.detail(), ill.noted()]


@pytest.mark.parametrize("server", SILENT)
def test_what_never_listens_on_its_socket(tried: Tried, server: str) -> None:
    for place in tried[_silent, server].result():
        assert SILENT[server][1] in place


def test_once_mended_it_is_well(alice: Account) -> None:
    with _ill(alice, "mended") as ill:
        assert ill.create(uvicorn("ill"), "import fastest\n")["state"]["status"] != "running"
        ill.write(ANSWERS)
        assert alice.call("POST", f"{ill.domain}/reload/").json() == {"status": "OK"}
        state = alice.get(ill.domain)["state"]
        assert (state["status"], state["detail"]) == ("running", None)
        assert ill.visit().status_code == 200


def test_a_mended_command_is_not_answered_with_what_was_wrong_before(alice: Account) -> None:
    with _ill(alice, "port-mended") as ill:
        ill.create(f"{BIN}/uvicorn --port 8767 ill:app", ANSWERS)
        assert "It listens on TCP port 8767" in ill.detail()
        body = {"webapp": {"command": ill.command(uvicorn("ill"))}}
        state = alice.call("PATCH", f"{ill.domain}/", json=body).json()["state"]
        assert (state["status"], state["detail"]) == ("running", None)


def test_a_port_that_is_opened_first_is_no_fault(alice: Account) -> None:
    """Though its own socket comes later than a port is told of that a server takes instead."""
    with _ill(alice, "metrics") as ill:
        code = PORT_FIRST + "time.sleep(2.5)\n" + PLAIN
        assert ill.create("/usr/bin/python3 ill.py $DOMAIN_SOCKET", code)["state"]["status"] == "running"
        assert alice.call("POST", f"{ill.domain}/reload/").json() == {"status": "OK"}


def test_the_operator_reads_the_cause_too(alice: Account) -> None:
    with _ill(alice, "told") as ill:
        detail = ill.create(uvicorn("ill"), "import fastest\n")["state"]["detail"]
        assert detail.endswith(
            "Install it in the virtual environment whose Python the command runs, or correct the name."
        )
        assert detail in ill.listed()
        assert detail in alice.platform.cli("logs", ill.domain).stdout


def test_memory_taken_while_it_serves(alice: Account) -> None:
    with _ill(alice, "greedy") as ill:
        ill.create(uvicorn("ill"), answering("/hoard", "kept = [bytearray(8 << 20) for _ in range(100)]"))
        ill.visit("/hoard", "POST")
        assert "needed more than its 256 MB" in ill.note("It was killed for memory")
        assert ill.visit().status_code == 200


def _table() -> dict[str, str]:
    """The rows of the documentation: the case, and the sentence that it promises."""
    text = (Path(__file__).parents[2] / "docs" / "logs-and-states.md").read_text(encoding="utf-8")
    rows = text.partition("| case | `detail` |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return {row[0].strip("| "): row[1] for row in cells}


def _promised(sentence: str) -> str:
    """The sentence as a pattern: any number for a number, anything for …"""
    pattern = re.escape(sentence).replace("…", ".*")
    return re.sub(r"[0-9]+", "[0-9]+", pattern)


def _failing(command: str, code: str = "", **extra: Any) -> Callable[[Ill], str]:
    """A website that does not come up."""

    def detail(ill: Ill) -> str:
        ill.write(code)
        body = {"domain_name": ill.domain, "webapp": {"command": ill.command(command), **extra}}
        answer = ill.alice.call("POST", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["state"]["detail"] or ill.some_detail()

    return detail


def _exited(ill: Ill) -> str:
    website = ill.create(uvicorn("ill"), ANSWERS)
    assert website["state"]["status"] == "running", website["state"]
    ill.visit("/end?1", "POST")
    return ill.note("It exited")


def _killed(ill: Ill) -> str:
    website = ill.create(uvicorn("ill"), ANSWERS)
    os.kill(server_pid(ill.alice.platform, website), signal.SIGKILL)
    return ill.note("It was ended by")


def _deaf(ill: Ill) -> str:
    closes = "            self.server.socket.close()\n            os.unlink(os.environ['DOMAIN_SOCKET'])\n"
    code = PLAIN.replace("def serve():\n", "def serve():\n    import threading\n")
    code = code.replace(".serve_forever()", ".serve_forever()\n    threading.Event().wait()")
    answers = "        self.wfile.write(answer)\n"
    code = code.replace(answers, f"        if self.path == '/deaf':\n{closes}{answers}")
    ill.create("/usr/bin/python3 ill.py $DOMAIN_SOCKET", code)
    ill.visit("/deaf")
    ill.visit()
    return ill.note("It stopped")


def _stalled(ill: Ill) -> str:
    blocked = ill.alice.home / "blocked"
    blocked.unlink(missing_ok=True)
    ill.create(uvicorn("ill"), answering("/block", "pathlib.Path('blocked').touch(); time.sleep(20)"))
    visitors = [threading.Thread(target=_try, args=(ill, path)) for path in ("/block", "/", "/")]
    visitors[0].start()
    wait_for(blocked.exists, what="its event loop is blocked")
    for visitor in visitors[1:]:
        visitor.start()
    detail = ill.some_detail()
    ill.alice.delete(ill.domain)
    for visitor in visitors:
        visitor.join()
    return detail


def _try(ill: Ill, path: str) -> None:
    with pytest.raises(requests.RequestException):
        ill.visit(path, timeout=15)


def _reloaded_to_a_port(ill: Ill) -> str:
    ill.create(uvicorn("ill"), ANSWERS)
    command = ill.command(f"{BIN}/uvicorn --port 8765 ill:app")
    ill.alice.call("PATCH", f"{ill.domain}/", json={"webapp": {"command": command}})
    return ill.some_detail()


def _failing_again(ill: Ill) -> str:
    _failing("exit 3")(ill)
    ill.note(r"The website is not serving: It failed 2 times in a row since .* UTC; next try at .* UTC\. It exited")
    return str(wait_for(lambda: re.search("It failed.*next try at.*", ill.detail(), re.DOTALL))[0])


def _homeless(ill: Ill) -> str:
    eve = ill.alice.platform.account("homeless")
    eve.home.rmdir()
    eve.call("POST", json={"domain_name": eve.domain, "webapp": {"command": "true"}})
    detail = str(eve.get(eve.domain)["state"]["detail"])
    eve.delete(eve.domain)
    return detail


def _no_sandbox(ill: Ill) -> str:
    with _read_only(ill.alice.platform.config.instances):
        return _failing(uvicorn("ill"), ANSWERS)(ill)


@contextmanager
def _read_only(place: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", place, place], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def _unattended(ill: Ill) -> str:
    """The supervisor has the question, and dies before it answers."""
    ill.create(uvicorn("ill"), ANSWERS)
    pids, command = ill.alice.platform.pids, ill.command(uvicorn("ill", "--no-server-header"))
    supervisor = pids()["supervisor"]
    os.kill(supervisor, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        try:
            change = pool.submit(ill.alice.call, "PATCH", f"{ill.domain}/", json={"webapp": {"command": command}})
            wait_for(lambda: ill.alice.get(ill.domain)["webapp"]["command"] == command, what="the change is stored")
        finally:
            os.kill(supervisor, signal.SIGKILL)
        detail = str(change.result().json()["state"]["detail"])
    wait_for(lambda: pids().get("supervisor") not in (supervisor, None), what="the supervisor is started again")
    wait_for(lambda: attended(ill.alice.platform), what="it answers")
    return detail


def _on_a_small_machine(case: str) -> Callable[[Ill], str]:
    """A case that is told on a machine of its own, as far as /proc/meminfo and a limit on all its sandboxes go."""

    def detail(_: Ill) -> str:
        with _making_small:
            return _told_on_a_small_machine()[case]

    return detail


_making_small = threading.Lock()


@cache
def _told_on_a_small_machine() -> dict[str, str]:
    """What is told by a platform with mounts of its own, by case."""
    found: dict[str, str] = {}
    trying = threading.Thread(target=_try_a_small_machine, args=(found,))
    trying.start()
    trying.join()
    return found


def _try_a_small_machine(found: dict[str, str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x00020000) == 0  # CLONE_NEWNS, of this thread and what it starts
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    with platform() as made:
        memory = made.directory / "meminfo"
        memory.write_text("MemAvailable: 8000000 kB\n")
        subprocess.run(["mount", "--bind", memory, "/proc/meminfo"], check=True)
        demo = Account(made, "demo", made.cli("token", "create", "demo").stdout.strip())
        domain = "ill-demo.localhost"
        demo.write("main.py", PLAIN)
        demo.create("/usr/bin/python3 main.py $domain_SOCKET", domain)
        memory.write_text("MemAvailable: 60000 kB\n")
        assert demo.call("POST", f"{domain}/reload/").status_code == 502
        found["no-memory"] = str(demo.get(domain)["state"]["detail"])
        memory.write_text("MemAvailable: 8000000 kB\n")
        found["machine"] = _killed_for_the_machine(demo, domain)


def _killed_for_the_machine(demo: Account, domain: str) -> str:
    """All sandboxes together get less than each may have. When it kills much at once, the kernel does not say what was
    full: then the website is tried again."""
    tag = demo.platform.config.tag
    for limit in (f"memory/hereabouts-{tag}/memory.limit_in_bytes", f"hereabouts-{tag}/memory.max"):
        with suppress(OSError):  # one version of control groups has the one, the other the other
            (Path("/sys/fs/cgroup") / limit).write_text(str(200 << 20))
    demo.write("main.py", GREEDY)

    def told() -> str | None:
        demo.call("POST", f"{domain}/reload/")
        detail = str(demo.get(domain)["state"]["detail"])
        return detail if "the machine ran out" in detail else None

    return str(wait_for(told, what="the kernel says that all sandboxes together have too much"))


GREEDY = "kept = []\nwhile True:\n    kept.append(bytearray(8 << 20))\n"
SHORT_OF_PROCESSES = (
    "import threading\nfor _ in range(200):\n    threading.Thread(target=threading.Event().wait).start()\n"
)
FULL = "import os\nwith open('/dev/shm/much', 'wb') as much:\n    while True:\n        much.write(bytes(1 << 20))\n"
PORT_FIRST = "import socket, threading, time\nmetrics = socket.create_server(('0.0.0.0', 9100))\n"
UNHEALTHY = ANSWERS.replace('"status": 200', '"status": 503')
SILENT_ELSEWHERE = (
    "import socket, sys, time\ntry:\n    socket.socket(socket.AF_UNIX).bind('/var/sockets/x')\nexcept OSError as no:\n"
    "    print(no, file=sys.stderr, flush=True)\ntime.sleep(1000)\n"
)
UNATTENTIVE = (
    "import os, socket, time\nopened = socket.socket(socket.AF_UNIX)\nopened.bind(os.environ['DOMAIN_SOCKET'])\n"
    "other, elsewhere = socket.socket(socket.AF_UNIX), '/home/alice/unattentive.py'\n"
    "if os.path.exists(elsewhere):\n    os.unlink(elsewhere)\nother.bind(elsewhere)\n"
    "opened.listen()\nother.listen()\ntime.sleep(1000)\n"
)
"""Listens in two places, of which one is right, and accepts nothing."""

CASES: dict[str, Callable[[Ill], str]] = {
    "no-command": _failing("/home/alice/nowhere/uvicorn --uds $DOMAIN_SOCKET ill:app"),
    "no-program": _failing("./ill.py $DOMAIN_SOCKET", "#!/usr/bin/python3\n"),
    "start": _failing(uvicorn("ill"), "import fastest\n"),
    "exit": _exited,
    "background": _failing("sleep 1000 $DOMAIN_SOCKET & true"),
    "signal": _killed,
    "memory": _failing("/usr/bin/python3 ill.py", GREEDY),
    "machine": _on_a_small_machine("machine"),
    "processes": _failing("/usr/bin/python3 ill.py $DOMAIN_SOCKET", SHORT_OF_PROCESSES + "raise SystemExit(1)\n"),
    "disk": _failing("/usr/bin/python3 ill.py $DOMAIN_SOCKET", FULL),
    "port": _failing(f"{BIN}/uvicorn --port 8765 ill:app", ANSWERS),
    "socket": _failing(f"{BIN}/uvicorn --uds /home/alice/mine.sock ill:app", ANSWERS),
    "so-far": _failing("/usr/bin/python3 ill.py", PORT_FIRST + "threading.Event().wait()\n"),
    "silent": _failing("sleep 1000; : $DOMAIN_SOCKET"),
    "besides": _failing("/usr/bin/python3 ill.py $DOMAIN_SOCKET", PORT_FIRST + "threading.Event().wait()\n"),
    "workers": _failing("/usr/bin/python3 ill.py; : unattentive.py", UNATTENTIVE),
    "unnamed": _failing("sleep 1000"),
    "forbidden": _failing("/usr/bin/python3 ill.py $DOMAIN_SOCKET", SILENT_ELSEWHERE),
    "health": _failing(uvicorn("ill"), UNHEALTHY, health_path="/health", health_seconds=2),
    "stall": _stalled,
    "no-memory": _on_a_small_machine("no-memory"),
    "reload": _reloaded_to_a_port,
    "deaf": _deaf,
    "homeless": _homeless,
    "sandbox": _no_sandbox,
    "unattended": _unattended,
    "loop": _failing_again,
}
PASSING = {"exit", "signal", "stall", "no-memory", "machine", "deaf", "homeless", "sandbox", "unattended"}
"""Their websites serve again, or are gone, once it was told."""
NOT_YET = {"port", "socket", "so-far", "reload"}
"""What is told of these before their time is up is not in the log before that."""
ALONE = {"sandbox", "unattended"}
"""While these are tried no other website could be started."""


def _documented(alice: Account, case: str) -> dict[str, str]:
    """What is told at first and, where that stays so, in each place that tells it."""
    with _ill(alice, case) as ill:
        told = {"first": CASES[case](ill)}
        if case not in PASSING:
            told |= {"state": ill.detail(), "status": ill.listed()}
        if case not in PASSING | NOT_YET:
            told["log"] = ill.noted()
        return {place: text.replace(f"{ill.module}.py", "main.py") for place, text in told.items()}  # as there


@pytest.fixture(scope="module")
def tried(request: pytest.FixtureRequest, alice: Account) -> Iterator[Tried]:
    """What came of each case that is to be tested: all of them are tried side by side."""
    chosen = {
        value
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
        for value in item.callspec.params.values()
    }
    for name in ("gone.sh", "greedy.py", "uvicorn-env"):
        (alice.home / name).unlink(missing_ok=True)
    (alice.home / "uvicorn-env").symlink_to(".virtualenvs/servers")
    alice.write("gone.sh", "#!/home/alice/nowhere/python\n").chmod(0o755)
    alice.write("greedy.py", GREEDY)
    tries: list[tuple[Callable[[Account, str], Any], Iterable[str]]] = [
        (_documented, CASES.keys() - ALONE),  # these take the longest
        (_silent, SILENT),
        (_cause, CAUSES),
    ]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {(run, name): pool.submit(run, alice, name) for run, names in tries for name in names if name in chosen}


@pytest.mark.parametrize("case", sorted(_table().keys() | CASES.keys()))
def test_the_documented_sentence_is_told(alice: Account, tried: Tried, case: str) -> None:
    assert case in CASES, "this row of the documentation's table is not tried"
    assert case in _table(), "this case is missing in the documentation's table"
    if case in ALONE:
        wait(tried.values())
    told = _documented(alice, case) if case in ALONE else tried[_documented, case].result()
    for place, text in told.items():
        assert re.search(_promised(_table()[case]), text, re.DOTALL), place
