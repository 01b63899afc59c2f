"""A website that does not come up says why: in its state and in its error log.

The table in docs/logs-and-states.md is the list of what is tried: each of its rows has a website here that fails so.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.sites import ANSWERS, BIN, PLAIN, answering, server_pid, site, uvicorn
from tests.platform import Account, platform, wait_for

DOMAIN = "ill-alice.localhost"


def _detail(alice: Account, domain: str = DOMAIN) -> str:
    return str(alice.get(domain)["state"]["detail"])


def _noted(alice: Account, domain: str = DOMAIN) -> str:
    """What the platform wrote into the error log."""
    return "\n".join(line for line in alice.log(domain, "error").splitlines() if line.startswith("[hereabouts] "))


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
    "not executable": ("./ill.py $DOMAIN_SOCKET", "#!/usr/bin/python3\n", r"Permission denied: \./ill\.py.*chmod \+x"),
    "socket elsewhere": (
        uvicorn("ill").replace("$DOMAIN_SOCKET", "/var/sockets/mine.sock"),
        ANSWERS,
        r"code \d+ before it listened.*Permission denied",
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_named(alice: Account, cause: str) -> None:
    command, code, wanted = CAUSES[cause]
    alice.write("ill.py", code)
    alice.write("gone.sh", "#!/home/alice/nowhere/python\n").chmod(0o755)
    with site(alice, command, DOMAIN) as website:
        assert website["state"]["status"] in ("restarting", "crashed")
        assert re.search(wanted, website["state"]["detail"], re.DOTALL)
        assert re.search(wanted, _detail(alice), re.DOTALL)
        assert re.search(wanted, _noted(alice), re.DOTALL)


PORTS = {
    "uvicorn": (f"{BIN}/uvicorn --port 8765 ill:app", 8765, "--uds $DOMAIN_SOCKET"),
    "gunicorn": (
        f"{BIN}/gunicorn -k uvicorn_worker.UvicornWorker --bind 0.0.0.0:8766 ill:app",
        8766,
        "--bind unix:$DOMAIN_SOCKET",
    ),
    "hypercorn": (f"{BIN}/hypercorn --bind 127.0.0.1:8767 ill:app", 8767, "--bind unix:$DOMAIN_SOCKET"),
    "granian": (f"{BIN}/granian --interface asgi --port 8768 ill:app", 8768, "--uds $DOMAIN_SOCKET"),
    "daphne": (f"{BIN}/daphne -p 8769 ill:app", 8769, "-u $DOMAIN_SOCKET"),
}


def test_what_never_listens_on_its_socket(alice: Account) -> None:
    """All five servers at once, and three that never listen: their time to start passes once."""
    alice.write("ill.py", ANSWERS)
    alice.write("greedy.py", "kept = []\nwhile True:\n    kept.append(bytearray(8 << 20))\n")
    wanted = {
        server: f"It listens on TCP port {port} instead of $DOMAIN_SOCKET. "
        f"With {server}, write {flag} in place of its host and port."
        for server, (_, port, flag) in PORTS.items()
    }
    commands = {server: command for server, (command, _, _) in PORTS.items()}
    commands |= {"silent": "sleep 1000; : $DOMAIN_SOCKET", "unnamed": "sleep 1000"}
    commands["worker"] = f"{BIN}/gunicorn -k uvicorn_worker.UvicornWorker --bind unix:$DOMAIN_SOCKET greedy:app"
    wanted |= {
        "silent": "It does not listen on $DOMAIN_SOCKET after 8 s.",
        "unnamed": "It does not listen on $DOMAIN_SOCKET after 8 s, and the command does not name it.",
        "worker": "It was killed for memory: it needed more than its 256 MB.",
    }

    def create(server: str) -> dict[str, Any]:
        return alice.create(commands[server], f"{server}-alice.localhost")

    def told(server: str) -> tuple[bool, bool]:
        domain = f"{server}-alice.localhost"
        return wanted[server] in _detail(alice, domain), wanted[server] in _noted(alice, domain)

    try:
        with ThreadPoolExecutor(len(commands)) as pool:
            created = dict(zip(commands, pool.map(create, commands), strict=True))
        for server in commands:
            assert wanted[server] in created[server]["state"]["detail"]
        for server in commands:
            wait_for(lambda server=server: told(server) == (True, True), what=f"{server}: {wanted[server]}")
    finally:
        for server in commands:
            alice.call("DELETE", f"{server}-alice.localhost/")


def test_once_mended_it_is_well(alice: Account) -> None:
    alice.write("ill.py", "import fastest\n")
    with site(alice, uvicorn("ill"), DOMAIN) as website:
        assert website["state"]["status"] != "running"
        alice.write("ill.py", ANSWERS)
        assert alice.call("POST", f"{DOMAIN}/reload/").json() == {"status": "OK"}
        state = alice.get(DOMAIN)["state"]
        assert (state["status"], state["detail"]) == ("running", None)
        assert alice.platform.visit(DOMAIN).status_code == 200


def test_memory_taken_while_it_serves(alice: Account) -> None:
    greedy = answering("/hoard", "kept = [bytearray(8 << 20) for _ in range(100)]")
    alice.write("ill.py", greedy)
    with site(alice, uvicorn("ill"), DOMAIN):
        alice.platform.visit(DOMAIN, "/hoard", "POST")
        wait_for(lambda: "killed for memory: it needed more than its 256 MB" in _noted(alice))
        assert alice.platform.visit(DOMAIN).status_code == 200


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


def _failing(command: str, code: str = "", **extra: Any) -> Callable[[Account], str]:
    """A website that does not come up."""

    def detail(alice: Account) -> str:
        alice.write("main.py", code)
        body = {"domain_name": DOMAIN, "webapp": {"command": command, **extra}}
        answer = alice.call("POST", json=body)
        assert answer.status_code == 201, answer.text
        return str(wait_for(lambda: alice.get(DOMAIN)["state"]["detail"]))

    return detail


def _exited(alice: Account) -> str:
    alice.write("main.py", ANSWERS)
    website = alice.create(uvicorn("main"), DOMAIN)
    assert website["state"]["status"] == "running", website["state"]
    alice.platform.visit(DOMAIN, "/end?1", "POST")
    return str(wait_for(lambda: re.search("It exited.*", _noted(alice)), what=alice.log(DOMAIN, "error"))[0])


def _killed(alice: Account) -> str:
    alice.write("main.py", ANSWERS)
    website = alice.create(uvicorn("main"), DOMAIN)
    os.kill(server_pid(alice.platform, website), signal.SIGKILL)
    return str(wait_for(lambda: re.search("It was ended by.*", _noted(alice)))[0])


def _deaf(alice: Account) -> str:
    closes = "            self.server.socket.close()\n            os.unlink(os.environ['DOMAIN_SOCKET'])\n"
    code = PLAIN.replace("def serve():\n", "def serve():\n    import threading\n")
    code = code.replace(".serve_forever()", ".serve_forever()\n    threading.Event().wait()")
    code = code.replace(
        "(answer)\n\n    def address", f"(answer)\n        if self.path == '/deaf':\n{closes}\n    def address"
    )
    alice.write("main.py", code)
    alice.create("/usr/bin/python3 main.py $DOMAIN_SOCKET", DOMAIN)
    alice.platform.visit(DOMAIN, "/deaf")
    alice.platform.visit(DOMAIN)
    return str(wait_for(lambda: re.search("It stopped.*", _noted(alice)))[0])


def _stalled(alice: Account) -> str:
    alice.write("main.py", answering("/block", "pathlib.Path('blocked').touch(); time.sleep(20)"))
    blocked = alice.home / "blocked"
    blocked.unlink(missing_ok=True)
    alice.create(uvicorn("main"), DOMAIN)
    visitors = [threading.Thread(target=_try, args=(alice, path)) for path in ("/block", "/", "/")]
    visitors[0].start()
    wait_for(blocked.exists, what="its event loop is blocked")
    for visitor in visitors[1:]:
        visitor.start()
    detail = wait_for(lambda: alice.get(DOMAIN)["state"]["detail"], what="the stall in the state")
    alice.delete(DOMAIN)
    for visitor in visitors:
        visitor.join()
    return str(detail)


def _try(alice: Account, path: str) -> None:
    with pytest.raises(requests.RequestException):
        alice.platform.visit(DOMAIN, path, timeout=15)


def _reloaded_to_a_port(alice: Account) -> str:
    alice.write("main.py", ANSWERS)
    alice.create(uvicorn("main"), DOMAIN)
    alice.call("PATCH", f"{DOMAIN}/", json={"webapp": {"command": f"{BIN}/uvicorn --port 8765 main:app"}})
    return str(wait_for(lambda: alice.get(DOMAIN)["state"]["detail"]))


def _no_sandbox(alice: Account) -> str:
    alice.write("main.py", ANSWERS)
    with _read_only(alice.platform.config.instances):
        return _failing(uvicorn("main"), ANSWERS)(alice)


@contextmanager
def _read_only(place: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", place, place], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def _unattended(alice: Account) -> str:
    alice.write("main.py", ANSWERS)
    alice.create(uvicorn("main"), DOMAIN)
    supervisor = alice.platform.pids()["supervisor"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        body = {"webapp": {"command": uvicorn("main", "--no-server-header")}}
        return str(alice.call("PATCH", f"{DOMAIN}/", json=body).json()["state"]["detail"])
    finally:
        os.kill(supervisor, signal.SIGCONT)


def _no_memory(_: Account) -> str:
    """On a machine of its own, as far as /proc/meminfo goes: a platform with mounts of its own."""
    found: list[str] = []
    trying = threading.Thread(target=_on_a_small_machine, args=(found,))
    trying.start()
    trying.join()
    return found[0]


def _on_a_small_machine(found: list[str]) -> None:
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
        found.append(_detail(demo, domain))


SHORT_OF_PROCESSES = (
    "import threading\nfor _ in range(200):\n    threading.Thread(target=threading.Event().wait).start()\n"
)
FULL = "import os\nwith open('/dev/shm/much', 'wb') as much:\n    while True:\n        much.write(bytes(1 << 20))\n"
UNHEALTHY = ANSWERS.replace('"status": 200', '"status": 503')
SILENT_ELSEWHERE = (
    "import socket, time\ntry:\n    socket.socket(socket.AF_UNIX).bind('/usr/x')\nexcept OSError:\n    "
    "print('[Errno 13] Permission denied: /usr/x', file=__import__('sys').stderr, flush=True)\ntime.sleep(1000)\n"
)

CASES: dict[str, Callable[[Account], str]] = {
    "no-command": _failing("/home/alice/nowhere/uvicorn --uds $DOMAIN_SOCKET main:app"),
    "no-program": _failing("./main.py $DOMAIN_SOCKET", "#!/usr/bin/python3\n"),
    "start": _failing(uvicorn("main"), "import fastest\n"),
    "exit": _exited,
    "background": _failing("sleep 1000 $DOMAIN_SOCKET & true"),
    "signal": _killed,
    "memory": _failing("/usr/bin/python3 main.py", "kept = []\nwhile True:\n    kept.append(bytearray(8 << 20))\n"),
    "processes": _failing("/usr/bin/python3 main.py $DOMAIN_SOCKET", SHORT_OF_PROCESSES + "raise SystemExit(1)\n"),
    "disk": _failing("/usr/bin/python3 main.py $DOMAIN_SOCKET", FULL),
    "port": _failing(f"{BIN}/uvicorn --port 8765 main:app", ANSWERS),
    "socket": _failing(f"{BIN}/uvicorn --uds /home/alice/mine.sock main:app", ANSWERS),
    "silent": _failing("sleep 1000; : $DOMAIN_SOCKET"),
    "unnamed": _failing("sleep 1000"),
    "forbidden": _failing("/usr/bin/python3 main.py $DOMAIN_SOCKET", SILENT_ELSEWHERE),
    "health": _failing(uvicorn("main"), UNHEALTHY, health_path="/health", health_seconds=2),
    "stall": _stalled,
    "no-memory": _no_memory,
    "reload": _reloaded_to_a_port,
    "deaf": _deaf,
    "sandbox": _no_sandbox,
    "unattended": _unattended,
    "loop": lambda alice: (
        _failing("exit 3")(alice)
        and str(wait_for(lambda: re.search("It failed.*next try at.*", _detail(alice), re.DOTALL))[0])
    ),
}


@pytest.mark.parametrize("case", sorted(_table().keys() | CASES.keys()))
def test_the_documented_sentence_is_told(alice: Account, case: str) -> None:
    assert case in CASES, "this row of the documentation's table is not tried"
    assert case in _table(), "this case is missing in the documentation's table"
    try:
        assert re.search(_promised(_table()[case]), CASES[case](alice), re.DOTALL)
    finally:
        left = [website["id"] for website in alice.call("GET").json() if website["domain_name"] == DOMAIN]
        alice.call("DELETE", f"{DOMAIN}/")
        # Its last words go into the log that the next case's website has under the same name.
        running = alice.platform.config.instances
        wait_for(lambda: not any(list(running.glob(f"{number}-*")) for number in left), what="its processes are gone")
