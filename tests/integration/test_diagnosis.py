"""A website that does not come up says why: in its state and in its error log."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.sites import ANSWERS, BIN, answering, site, uvicorn
from tests.platform import Account, wait_for

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
