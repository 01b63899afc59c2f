"""The control process itself, on its unix socket, with accounts alice, bob and operator. No supervisor runs,
unless a test asks for ``supervisor``, which answers as a test tells it to.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import hypothesis
import pytest
from django.conf import settings as django_settings

import hereabouts
from hereabouts import config as configuration
from hereabouts.config import Config
from hereabouts.core.certificate import file_name
from hereabouts.daemons.environ import environment, set_up_django

hypothesis.settings.register_profile(
    "api", deadline=None, derandomize=True, max_examples=100,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)  # fmt: skip

_LAUNCH = """\
import sys
from pathlib import Path
from hereabouts import config
from hereabouts.daemons import control, view
settings = config.load()
if __import__("os").geteuid() == 0:
    view.enter([settings.data_dir, settings.run_dir, *map(Path, sys.argv[1:])])
control.run(settings)
"""


@contextmanager
def serving(config: Config) -> Iterator[subprocess.Popen[bytes]]:
    """The control process with these settings, while it answers."""
    config.control_socket.unlink(missing_ok=True)
    code = Path(hereabouts.__file__).parent
    argv = [sys.executable, "-c", _LAUNCH, sys.prefix, sys.base_prefix, code]
    with subprocess.Popen(argv, env=environment(config), cwd="/") as process:
        try:
            wait_for(lambda: config.control_socket.exists() or process.poll() is not None)
            yield process
        finally:
            process.terminate()
            process.wait(15)


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return once the condition is true; fail when it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def visitor(config: Config, **headers: str) -> httpx.Client:
    """Somebody who calls the API through what nginx passes on."""
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(config.control_socket)), base_url=f"http://{config.host}",
        headers={"X-Forwarded-Proto": "https", "X-Real-IP": "192.0.2.1"} | headers, timeout=30,
    )  # fmt: skip


@dataclass
class Caller:
    """An account with its token."""

    name: str
    token: str
    client: httpx.Client

    def call(self, method: str, path: str = "", *, user: str | None = None, **kwargs: Any) -> httpx.Response:
        """Call an endpoint below ``websites/``, on one's own URL or another user's."""
        return self.request(method, f"websites/{path}", user=user, **kwargs)

    def ssl(self, method: str, domain: str, **kwargs: Any) -> httpx.Response:
        """Call the endpoint of a domain's certificate."""
        return self.request(method, f"domains/{domain}/ssl/", **kwargs)

    def request(self, method: str, path: str, *, user: str | None = None, **kwargs: Any) -> httpx.Response:
        """Call an endpoint below an account's URL."""
        headers = {"Authorization": f"Token {self.token}"} | kwargs.pop("headers", {})
        return self.client.request(method, f"/api/v1/user/{user or self.name}/{path}", headers=headers, **kwargs)

    def create(self, domain: str | None = None, *, command: str = "uvicorn app:app", enabled: bool = True) -> Any:
        """A new website, as the API tells of it."""
        body = {"domain_name": domain or f"{self.name}.example.org", "enabled": enabled, "webapp": {"command": command}}
        answer = self.call("POST", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def config() -> Iterator[Config]:
    """Settings in force for these tests, with Django set up from them in this process too."""
    place = Path(tempfile.mkdtemp(prefix="hereabouts-api-"))
    place.chmod(0o755)  # control is another user
    settings = configuration.load(
        {
            "HEREABOUTS_DOMAIN": "example.org", "HEREABOUTS_DATA_DIR": str(place / "data"),
            "HEREABOUTS_RUN_DIR": str(place / "run"), "HEREABOUTS_RATE_LIMIT": "100000",
            "HEREABOUTS_ANSWER_SECONDS": "3",
        },
        place,
    )  # fmt: skip
    for directory in (
        settings.data_dir,
        settings.run_dir,
        settings.supervisor_socket.parent,
        settings.certificates_socket.parent,
    ):
        directory.mkdir()
        directory.chmod(0o755)
    before = dict(os.environ)
    try:
        from hereabouts.control.secret import ensure_secret

        ensure_secret(settings)
        set_up_django(settings)
    finally:
        os.environ.clear()
        os.environ.update(before)
    from hereabouts.control import database

    database.prepare(settings)
    yield settings
    shutil.rmtree(place)


@pytest.fixture
def apart(config: Config) -> Iterator[Config]:
    """Settings of a second control process, with a supervisor of its own, on the same database."""
    run_dir = config.data_dir.parent / "apart"
    found = dataclasses.replace(config, run_dir=run_dir)
    for directory in (run_dir, found.supervisor_socket.parent, found.certificates_socket.parent):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
    yield found
    shutil.rmtree(run_dir)


@pytest.fixture(scope="session")
def services(config: Config) -> ModuleType:
    """``hereabouts.control.services``, which can't be imported before Django is set up."""
    from hereabouts.control import services

    return services


@pytest.fixture(scope="session")
def control(config: Config) -> Iterator[subprocess.Popen[bytes]]:
    """The control process."""
    with serving(config) as process:
        yield process


@pytest.fixture(scope="session")
def anyone(config: Config, control: object) -> Iterator[httpx.Client]:
    """Somebody without a token."""
    with visitor(config) as client:
        yield client


def _account(name: str, client: httpx.Client, *, operator: bool = False) -> Caller:
    from hereabouts.control import services

    account = services.create_account(name, "correct horse battery", operator=operator)
    return Caller(name, services.create_token(account), client)


@pytest.fixture(scope="session")
def alice(anyone: httpx.Client) -> Caller:
    return _account("alice", anyone)


@pytest.fixture(scope="session")
def bob(anyone: httpx.Client) -> Caller:
    return _account("bob", anyone)


@pytest.fixture(scope="session")
def operator(anyone: httpx.Client) -> Caller:
    return _account("operator", anyone, operator=True)


@pytest.fixture(autouse=True)
def empty_house(config: Config) -> None:
    """No website is left from an earlier test, and nothing that failed in one is held against anybody."""
    from hereabouts.control.models import Tries, Website

    Tries.objects.all().delete()
    Website.objects.all().delete()


class Lines:
    """A process that answers one line with one line on a unix socket, as the supervisor and certificates do."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o666)
        self._listener.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            answer = self.reply(stream.readline().decode().split())
            stream.write(b"" if answer is None else answer.encode() + b"\n")
        if django_settings.configured:
            from django.db import connections

            connections.close_all()

    def reply(self, words: list[str]) -> str | None:
        """The answer to one line; None: none."""
        raise NotImplementedError

    def close(self) -> None:
        """Answer no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Supervisor(Lines):
    """Answers on the supervisor's socket. ``settle`` is a test's: (website, generation, seconds) -> answer, if any.

    What was offered and installed is in ``installed`` by name, unless ``refusal`` says why not.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.asked: list[tuple[int, int]] = []
        self.withdrawn: list[str] = []
        self.installed: dict[str, bytes] = {}
        self.refusal: str | None = None
        self.settle: Callable[[int, int, float], str | None] = lambda website, generation, seconds: "done"
        super().__init__(config.supervisor_socket)

    def reply(self, words: list[str]) -> str | None:
        match words:
            case ["settle", website, generation, seconds]:
                self.asked.append((int(website), int(generation)))
                return self.settle(int(website), int(generation), float(seconds))
            case ["install", name]:
                return self._install(name)
            case ["withdraw", name]:
                self.withdrawn.append(name)
                return "done"
        raise AssertionError(words)

    def _install(self, name: str) -> str:
        offered = self._config.offered / file_name(name)
        assert (offered.stat().st_mode & 0o777, offered.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert offered.stat().st_uid == self._config.control_uid
        if self.refusal:
            return f"refused {self.refusal}"
        self.installed[name] = offered.read_bytes()
        offered.unlink()
        return "done"


class Authority(Lines):
    """Answers on the certificates' socket in place of that process: ``issue`` and ``proof`` are a test's."""

    def __init__(self, config: Config) -> None:
        self.asked: list[list[str]] = []
        self.issue: Callable[[str], object] = lambda name: {"status": "done"}
        self.records: dict[str, list[str]] = {}
        self.look: Callable[[str], object] = lambda name: {"detail": None}
        super().__init__(config.certificates_socket)

    def reply(self, words: list[str]) -> str | None:
        self.asked.append(words)
        match words:
            case ["issue", name, _]:
                answer = self.issue(name)
            case ["look", name]:
                answer = self.look(name)
            case ["proof", name, value]:
                found = self.records.get(name, [])
                answer = {"proved": value in found, "found": found}
            case _:
                raise AssertionError(words)
        return answer if isinstance(answer, str | None) else json.dumps(answer)


@pytest.fixture
def supervisor(config: Config) -> Iterator[Supervisor]:
    """A supervisor that answers as it is told to."""
    answering = Supervisor(config)
    yield answering
    answering.close()
    config.supervisor_socket.unlink()


@pytest.fixture
def authority(config: Config) -> Iterator[Authority]:
    """A certificates process that answers as it is told to."""
    answering = Authority(config)
    yield answering
    answering.close()
    config.certificates_socket.unlink()


def see(
    website: int, status: str = "running", *, detail: str | None = None, serving: int = 1, failed: int = 0,
    since: float = 1_767_323_045.0,
) -> None:  # fmt: skip
    """Record what a supervisor would have seen."""
    from hereabouts.control.store import DjangoStore
    from hereabouts.core.webapp import Observation, Status

    DjangoStore().record(website, Observation(Status(status), since, detail, serving, failed))
