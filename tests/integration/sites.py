"""What the tests of running sites share: their code, and a website that is gone when its test ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from hereabouts import poke
from hereabouts.errors import PlatformNotRunning
from tests.platform import Account, Platform, wait_for

BIN = "/home/alice/.virtualenvs/servers/bin"
"""Where every server of the documentation is installed in alice's home."""

ANSWERS = '''\
"""A plain ASGI site that tells about the process it runs in."""
import json, os, pathlib, sys, time

VERSION = "one"
START = f"{time.time()}"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"] == "/end":
        os._exit(int(scope["query_string"] or 0))
    if scope["path"] == "/say":
        print("said", scope["query_string"].decode(), flush=True)
        print("complained", scope["query_string"].decode(), file=sys.stderr, flush=True)
    told = {
        "version": VERSION, "start": START, "pid": os.getpid(), "received": len(body),
        "one": pathlib.Path("/proc/1/cmdline").read_text().replace("\\0", " ").strip(),
        "scheme": scope["scheme"], "client": (scope.get("client") or [None])[0],
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
        "environment": {name: os.environ.get(name) for name in ("KIND", "HOME", "PWD", "VIRTUAL_ENV")},
    }
    answer = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer})
'''

PLAIN = '''\
"""A server of the standard library alone, on the unix socket that its environment names."""
import http.server, json, os, pathlib, signal, socketserver, sys

VERSION = "one"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        one = pathlib.Path("/proc/1/cmdline").read_text().replace("\\0", " ").strip()
        answer = json.dumps({"version": VERSION, "one": one}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self):
        return "visitor"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve():
    Server(os.environ["DOMAIN_SOCKET"], Handler).serve_forever()


if __name__ == "__main__":
    serve()
'''


def uvicorn(module: str, *options: str) -> str:
    """The usual command, with the module as ``package.module``."""
    return " ".join([f"{BIN}/uvicorn --uds $DOMAIN_SOCKET --no-access-log", *options, f"{module}:app"])


def answering(path: str, *statements: str) -> str:
    """The plain site, which runs these statements before it answers at ``path``."""
    added = "".join(f"        {line}\n" for statement in statements for line in statement.splitlines())
    return ANSWERS.replace(
        '    if scope["path"] == "/end":', f'    if scope["path"] == "{path}":\n{added}    if scope["path"] == "/end":'
    )


WAITS = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n"
"""In front of a website's code: it starts once there is a file `go` in its home."""


def newer(code: str) -> str:
    """The code as its next version. (One of the same length, within a second, Python would take for compiled.)"""
    return code.replace('VERSION = "one"', 'VERSION = "the newer one"')


@contextmanager
def site(account: Account, command: str, domain: str = "", **extra: Any) -> Iterator[dict[str, Any]]:
    """A website as the API answered when it was created; deleted at the end if it still is there."""
    domain = domain or account.domain
    try:
        yield account.create(command, domain, **extra)
    finally:
        answer = account.call("DELETE", f"{domain}/")
        assert answer.status_code in (204, 404), answer.text


@contextmanager
def starting(account: Account, file: str, code: str, command: str, domain: str) -> Iterator[None]:
    """A website that is routed and does not serve before there is a file `go`, which the end makes."""
    account.write(file, WAITS + code)
    with ThreadPoolExecutor(1) as pool:
        creation = pool.submit(account.create, command, domain)
        try:
            wait_for((account.platform.config.routes / domain).is_symlink)
            yield
        finally:
            account.write("go", "")
            creation.exception()
            account.delete(domain)


def connections(path: Path) -> int:
    """How many connections there are to a socket of the platform, by the kernel's table."""
    rows = Path("/proc/net/unix").read_text().splitlines()
    return sum(row.endswith(f" {path}") and row.split()[5] == "03" for row in rows)


def held(platform: Platform) -> int:
    """How many requests are where requests wait."""
    return connections(platform.config.hold_socket)


def delete_unseen(running: Platform, account: Account, domain: str) -> None:
    """Delete a website while the supervisor stands still, and kill that before it saw anything of it."""
    supervisor = psutil.Process(running.pids()["supervisor"])
    supervisor.suspend()
    with ThreadPoolExecutor(1) as pool:
        deletion = pool.submit(account.call, "DELETE", f"{domain}/")
        wait_for(lambda: account.call("GET", f"{domain}/").status_code == 404)
        supervisor.kill()
        assert deletion.result().status_code == 204


def attended(platform: Platform) -> bool:
    """Whether the supervisor answers."""
    with suppress(PlatformNotRunning):
        return bool(poke.ask(platform.config.supervisor_socket, "status", seconds=5))
    return False


def sandboxes(platform: Platform, website: dict[str, Any]) -> list[dict[str, Any]]:
    """What the supervisor keeps of a website: a list of sandboxes with ``pid`` and ``phase``."""
    found = json.loads(poke.ask(platform.config.supervisor_socket, "status", seconds=10))
    return [sandbox for sandbox in found["sandboxes"] if sandbox["website"] == website["id"]]


def server_pid(platform: Platform, website: dict[str, Any]) -> int:
    """Process 1 of the sandbox that visitors are led to, as this machine numbers it."""
    return next(int(found["pid"]) for found in sandboxes(platform, website) if found["phase"] == "serving")


def remains(platform: Platform, website: dict[str, Any]) -> list[Path]:
    """Every file and directory that the platform has on disk for a website, its home's excepted."""
    config, domain = platform.config, website["domain_name"]
    found = [config.routes / domain, config.metrics / str(website["id"])]
    for directory in (config.instances, config.sockets, config.published):
        found += directory.glob(f"{website['id']}-*")
    for log in website["logfiles"].values():
        found += (config.logs / website["user"]).glob(f"{Path(log).name}*")
    found += Path("/sys/fs/cgroup").glob(f"*/hereabouts-{config.tag}/{website['id']}-*")
    found += Path("/sys/fs/cgroup").glob(f"hereabouts-{config.tag}/{website['id']}-*")
    return [path for path in found if path.is_symlink() or path.exists()]
