"""A whole platform for tests and benchmarks: `hereabouts up` with a data directory and ports of its own."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from hereabouts import config as configuration
from hereabouts.daemons.environ import environment
from tests import shared

QUICK = {
    "START_SECONDS": "12", "DRAIN_SECONDS": "5", "STOP_SECONDS": "3", "HOLD_SECONDS": "15", "CRASH_LIMIT": "3",
    "CRASH_PAUSE_SECONDS": "60", "RATE_LIMIT": "100000", "LOG_MB": "1", "MEMORY_MB": "256", "PROCESSES": "64",
}  # fmt: skip


def wait_for(condition: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    """The condition's value once it is true; AssertionError when it does not become so in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)


_networks: set[str] = set()


def _network() -> str:
    """A network that no other platform has, be it of this run or of another one on the machine."""
    used = subprocess.run(["ip", "-4", "-o", "addr", "show", "lo"], capture_output=True, text=True, check=True).stdout
    while True:
        number = random.randrange(1024)
        network, gateway = (f"10.{192 + number // 16}.{number % 16 * 16}.{host}" for host in (0, 1))
        if f" {gateway}/" not in used and network not in _networks:
            _networks.add(network)
            return f"{network}/20"


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Account:
    """An account of the platform under test, with its API session."""

    platform: Platform
    name: str
    token: str
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.headers["Authorization"] = f"Token {self.token}"
        self.session.verify = str(self.platform.config.ca_bundle)
        self.session.trust_env = False  # REQUESTS_CA_BUNDLE of whoever runs the tests would win over it

    @property
    def home(self) -> Path:
        return self.platform.config.homes / self.name

    @property
    def domain(self) -> str:
        return f"{self.name}.localhost"

    def call(self, method: str, path: str = "", **kwargs: Any) -> requests.Response:
        url = f"{self.platform.api}/api/v1/user/{self.name}/websites/{path}"
        return self.session.request(method, url, timeout=60, allow_redirects=False, **kwargs)

    def create(self, command: str, domain: str | None = None, **extra: Any) -> dict[str, Any]:
        body = {"domain_name": domain or self.domain, "enabled": True, "webapp": {"command": command}, **extra}
        answer = self.call("POST", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def get(self, domain: str) -> dict[str, Any]:
        answer = self.call("GET", f"{domain}/")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def delete(self, domain: str) -> None:
        answer = self.call("DELETE", f"{domain}/")
        assert answer.status_code == 204, answer.text

    def write(self, name: str, text: str) -> Path:
        """A file in the account's home."""
        path = self.home / name
        uid = self.home.stat().st_uid
        for parent in reversed(path.relative_to(self.home).parents[:-1]):
            directory = self.home / parent
            if not directory.exists():
                directory.mkdir()
                os.chown(directory, uid, uid)
        path.write_text(text, encoding="utf-8")
        os.chown(path, uid, uid)
        return path

    def shell(self, line: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        return self.platform.cli("shell", self.name, "--", line, **kwargs)

    def log(self, domain: str, kind: str) -> str:
        path = self.platform.config.logs / self.name / f"{domain}.{kind}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


class Platform:
    """`hereabouts up` in a directory of its own."""

    def __init__(self, directory: Path, settings: dict[str, str], environ: Mapping[str, str] | None = None) -> None:
        """``environ`` is added to the environment of its processes."""
        self.directory, self._added = directory, environ or {}
        self.http, self.https = free_port(), free_port()
        self.settings = {
            "HEREABOUTS_DATA_DIR": str(directory / "var"),
            "HEREABOUTS_HTTP_PORT": str(self.http),
            "HEREABOUTS_HTTPS_PORT": str(self.https),
            "HEREABOUTS_NETWORK": _network(),
            **{f"HEREABOUTS_{name}": value for name, value in settings.items()},
        }
        self.config = configuration.load(self.settings, directory)
        self.api = f"https://localhost:{self.https}"
        self.process: subprocess.Popen[str] | None = None
        self.output = directory / "up.log"

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEREABOUTS_")}
        return {**kept, **self._added, **self.settings}

    def cli(self, *words: str, check: bool = True, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        """Run the operator's command."""
        command = [sys.executable, "-m", "hereabouts.cli.main", *words]
        kwargs.setdefault("stdin", subprocess.DEVNULL) if "input" not in kwargs else None
        done = subprocess.run(
            command, env=self.environ, cwd=self.directory, text=True, capture_output=True, timeout=240, check=False,
            **kwargs,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, seconds: float = 180.0) -> None:
        """Start and wait for the line that says Ready."""
        with self.output.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hereabouts.cli.main", "up"], env=self.environ, cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        process = self.process

        def ready() -> bool:
            text = self.output.read_text(encoding="utf-8", errors="replace")
            assert process.poll() is None, f"up ended with {process.returncode}:\n{text}"
            return "\nReady: " in text

        wait_for(ready, seconds, "the line Ready")

    def stop(self) -> int:
        """Stop as Ctrl-C does; returns the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        return code

    def account(self, name: str) -> Account:
        """A new account with a token."""
        self.cli("user", "add", name, "--password-stdin", input="correct horse battery staple\n")
        return Account(self, name, self.cli("token", "create", name).stdout.strip())

    def pids(self) -> dict[str, int]:
        """The platform's processes by name."""
        content = json.loads((self.config.run_dir / "up.json").read_text(encoding="utf-8"))
        return {name: where[0] for name, where in content["processes"].items()}

    def visit(self, domain: str, path: str = "/", method: str = "GET", **kwargs: Any) -> requests.Response:
        """A visitor's request over HTTP."""
        headers = {"Host": f"{domain}:{self.http}", **kwargs.pop("headers", {})}
        kwargs.setdefault("timeout", 60)
        return requests.request(
            method, f"http://127.0.0.1:{self.http}{path}", headers=headers, allow_redirects=False, **kwargs
        )


@contextmanager
def platform(environ: Mapping[str, str] | None = None, **settings: str) -> Iterator[Platform]:
    """A platform that runs; its directory, sandboxes and sockets are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hereabouts-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        made = Platform(directory, {**QUICK, **settings}, environ)
        try:
            _start_with_demo(made)
            yield made
        finally:
            made.stop()
            shutil.rmtree(made.config.run_dir, ignore_errors=True)


def _start_with_demo(made: Platform) -> None:
    """The demo's libraries are downloaded for the first platform of a run; the others find them in place."""
    demo = made.config.homes / "demo"
    kept = shared.DIRECTORY / "demo"
    with shared.made_once(kept) as missing:
        if missing:
            made.start()
            if (demo / ".virtualenvs").is_dir():
                keep(demo, kept)
            return
    if not demo.exists():
        demo.parent.mkdir(parents=True, exist_ok=True)
        prepare = [sys.executable, "-m", "hereabouts.daemons", "prepare"]  # homes without a database are refused
        subprocess.run(prepare, env=environment(made.config), check=True, capture_output=True)
        subprocess.run(["cp", "-a", kept, demo], check=True)
    made.start()


def keep(place: Path, kept: Path) -> None:
    """Copy a directory for the other platforms of this run."""
    copy = kept.with_name(f"{kept.name}.new")
    subprocess.run(["cp", "-a", place, copy], check=True)
    copy.rename(kept)
