"""A real certificate authority for tests: Pebble, with its name server, behind a door that tests can close.

Pebble validates on the platform's own http port, so that its requests really come through nginx.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.platform import free_port, wait_for

_HOUR = 3600


@dataclass
class Names:
    """pebble-challtestsrv: a name server that says what it is told to. Names it knows nothing of are 127.0.0.1."""

    port: int
    management: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def tell(self, what: str, **said: Any) -> None:
        """One call to its management interface, such as ``add-a``, ``clear-a``, ``set-servfail``."""
        answer = requests.post(f"http://127.0.0.1:{self.management}/{what}", json=said, timeout=10)
        answer.raise_for_status()

    def lead(self, name: str, *addresses: str) -> None:
        self.tell("clear-a", host=f"{name}.")
        self.tell("add-a", host=f"{name}.", addresses=list(addresses))


@dataclass
class Pebble:
    """A Pebble that runs or is stopped, always at the same address."""

    directory: Path
    names: Names
    http_port: int
    validity: int
    environ: dict[str, str]
    more: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    management: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/dir"

    @property
    def trust(self) -> Path:
        return self.directory / "trust.pem"

    def start(self) -> None:
        """Begin anew: a Pebble remembers nothing of an earlier one."""
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.trust), "privateKey": str(self.directory / "trust.key"),
            "httpPort": self.http_port, "tlsPort": 1, "certificateValidityPeriod": self.validity, **self.more,
        }  # fmt: skip
        file = self.directory / "pebble.json"
        file.write_text(json.dumps({"pebble": settings}), encoding="utf-8")
        with (self.directory / "pebble.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["pebble", "-config", str(file), "-dnsserver", self.names.address], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", **self.environ},
            )  # fmt: skip
        wait_for(self.answers, 60, "Pebble")

    def answers(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(self.url, verify=str(self.trust), timeout=5).ok
        return False

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def root(self) -> str:
        """The certificate that signs for all that this Pebble issues."""
        address = f"https://localhost:{self.management}/roots/0"
        return requests.get(address, verify=str(self.trust), timeout=10).text


def self_signed(certificate: Path, key: Path) -> None:
    """A certificate for localhost that is its own authority."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = time.time()
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now - _HOUR, UTC))
        .not_valid_after(datetime.fromtimestamp(now + 24 * _HOUR, UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )  # fmt: skip
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@contextmanager
def names(directory: Path) -> Iterator[Names]:
    """A name server that runs."""
    made = Names(free_port(), free_port())
    with (directory / "names.log").open("ab") as log:
        process = subprocess.Popen(
            ["pebble-challtestsrv", "-dns01", made.address, "-management", f"127.0.0.1:{made.management}",
             "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def answers() -> bool:
        with suppress(requests.RequestException):
            requests.get(f"http://127.0.0.1:{made.management}/", timeout=5)
            return True
        return False

    try:
        wait_for(answers, 20, "pebble-challtestsrv")
        yield made
    finally:
        process.kill()
        process.wait()


@contextmanager
def pebble(directory: Path, *, validity: int = 90 * 86_400, **environ: str) -> Iterator[Pebble]:
    """A Pebble that can be started, with its name server; certificates are good for ``validity`` seconds."""
    self_signed(directory / "trust.pem", directory / "trust.key")
    with names(directory) as told:
        made = Pebble(directory, told, 1, validity, environ)
        try:
            yield made
        finally:
            made.stop()


@dataclass
class Request:
    """A request at the door: its number, and the name of the resource that it is for (``order-plz``, ``my-order``)."""

    number: int
    path: str
    answered: bool


Rule = Callable[[Request], "tuple[int, dict[str, str], Any] | None"]


class Door(ThreadingHTTPServer):
    """Stands before a Pebble. ``rule`` looks at each request before and after Pebble does, and may answer itself,
    or keep it waiting; ``seen`` are the paths so far, ``taken`` those that Pebble did not refuse. With ``window`` it
    gives renewal information, as Pebble 2.4 does not: certificate numbers to (start, end).
    """

    daemon_threads = True

    def __init__(self, behind: Pebble) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(behind.trust, behind.directory / "trust.key")
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.behind, self.seen, self.bodies = behind, list[str](), list[bytes]()
        self.taken: list[str] = []
        self.rule: Rule = lambda _: None
        self.window: Callable[[str], tuple[str, str]] | None = None
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server_port}/dir"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Door

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        door = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with door.lock:
            door.seen.append(self.path)
            door.bodies.append(body)
            number = len(door.seen)
        answer = door.rule(Request(number, self.path, answered=False)) or self._forward(body)
        if answer[0] < 400:
            door.taken.append(self.path)
        answer = door.rule(Request(number, self.path, answered=True)) or answer
        self._say(*answer)

    do_POST = do_HEAD = do_GET

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], Any]:
        door = self.server
        if door.window and self.path.startswith("/renewal/"):
            start, end = door.window(self.path.removeprefix("/renewal/"))
            return 200, {"Retry-After": "60"}, {"suggestedWindow": {"start": start, "end": end}}
        trust = ssl.create_default_context(cafile=str(door.behind.trust))
        upstream = http.client.HTTPSConnection("localhost", door.behind.port, timeout=30, context=trust)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content: Any = answer.read()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN}
        except OSError:
            return 502, {}, b"Bad gateway"
        finally:
            upstream.close()
        if self.path == "/dir" and door.window:
            content = {**json.loads(content), "renewalInfo": f"https://localhost:{door.server_port}/renewal"}
        return answer.status, headers, content

    def _say(self, status: int, headers: dict[str, str], content: Any) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        if not isinstance(content, bytes):
            kind = "application/json" if status < 400 else "application/problem+json"
            headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
            headers["Content-Type"] = kind
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


_OWN = ("content-length", "connection", "transfer-encoding", "date")


@contextmanager
def door(behind: Pebble) -> Iterator[Door]:
    """A door that is open."""
    made = Door(behind)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
