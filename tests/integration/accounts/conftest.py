"""The control process itself, on its unix socket, with accounts alice, bob and olivia, who is an operator. No
supervisor runs. A visitor says which address he comes from, as nginx would.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import pytest

from hereabouts import config as configuration
from hereabouts.config import Config
from hereabouts.daemons.environ import environment
from tests.integration.api.conftest import serving, visitor

PASSWORD = "correct horse battery staple"
_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_addresses = (f"198.51.{number // 250}.{number % 250 + 1}" for number in count())


@dataclass
class Browser:
    """Somebody's browser: keeps cookies, finds the token of the last page's forms."""

    config: Config
    address: str = field(default_factory=lambda: next(_addresses))
    agent: str = _FIREFOX
    cookies: dict[str, str] = field(default_factory=dict)
    page: str = ""

    def __post_init__(self) -> None:
        self._client = visitor(self.config, **{"X-Real-IP": self.address, "User-Agent": self.agent})

    def request(self, method: str, path: str, **kwargs: object) -> httpx.Response:
        """One request, without following redirects."""
        headers = {"Origin": f"https://{self.config.host}"} if method == "POST" else {}
        headers |= kwargs.pop("headers", {})  # type: ignore[arg-type]
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self._client.request(method, path, headers=headers, follow_redirects=False, **kwargs)  # type: ignore[arg-type]
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if "max-age=0" in line.lower():
                del self.cookies[name]
        self.page = answer.text
        return answer

    def get(self, path: str, **kwargs: object) -> httpx.Response:
        """Look at a page."""
        return self.request("GET", path, **kwargs)

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form to this path, with the token of its page, or of another one where that has none."""
        return self.request("POST", path, data={"csrfmiddlewaretoken": self.token(path), **fields})

    def token(self, path: str = "/account/password/") -> str:
        """What a form of this browser is known by."""
        for page in (path, "/account/password/", "/sign-in/"):
            self.get(page)
            if found := re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page):
                return found[1]
        raise AssertionError(self.page)

    def sign_in(self, name: str, password: str = PASSWORD, to: str = "/account/token/") -> httpx.Response:
        """Sign in, and go on to a page."""
        return self.post("/sign-in/", username=name, password=password, next=to)

    def is_in(self) -> bool:
        """Whether somebody is signed in here."""
        return self.get("/account/token/").status_code == 200

    def problem(self) -> str:
        """What the last page says is wrong."""
        found = re.findall(r'class="(?:error|notice bad)"[^>]*>(.*?)</p>', self.page, re.S)
        return html.unescape(" ".join(found))

    @property
    def session(self) -> str:
        """The key of the session."""
        return self.cookies["__Host-session"]


def until_refused(act: Callable[[], int]) -> int:
    """How often something could be tried before a pause; on a slow machine the first pauses end unnoticed."""
    for number in range(40):
        code = act()
        if code == 429:
            return number
        assert code in (303, 422)
    raise AssertionError("there is no pause")


class House:
    """A platform's data, and the control process that serves it."""

    def __init__(self, config: Config) -> None:
        self.config, self.pid = config, 0

    def cli(self, *words: str, stdin: str = "") -> str:
        """Run the operator's command; returns what it prints."""
        argv = [sys.executable, "-m", "hereabouts.cli.main", *words]
        done = subprocess.run(
            argv, env=environment(self.config), cwd="/", input=stdin, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def account(self, name: str, *options: str) -> str:
        """A new account; returns its name."""
        self.cli("user", "add", name, "--password-stdin", *options, stdin=f"{PASSWORD}\n")
        return name

    def browser(self, name: str = "", **kwargs: str) -> Browser:
        """A new browser at an address of its own, in which this account is signed in."""
        made = Browser(self.config, **kwargs)  # type: ignore[arg-type]
        if name:
            answer = made.sign_in(name)
            assert (answer.status_code, answer.headers.get("Location")) == (302, "/account/token/"), answer.text
        return made

    def api(
        self, name: str, token: str, method: str = "GET", path: str = "websites/", **kwargs: object
    ) -> httpx.Response:
        """Call the API."""
        headers = {"Authorization": f"Token {token}", "X-Real-IP": "203.0.113.7"}
        with visitor(self.config) as client:
            return client.request(method, f"/api/v1/user/{name}/{path}", headers=headers, **kwargs)  # type: ignore[arg-type]

    def guessed(self, key: str) -> None:
        """As if much had been tried under this key just now, so that the pause is a long one."""
        with self.database() as database:
            changed = database.execute(
                "UPDATE control_tries SET count = 40, last_at = ? WHERE key = ?", [time.time(), key]
            )
            assert changed.rowcount == 1

    def database(self) -> sqlite3.Connection:
        """The database itself."""
        return sqlite3.connect(self.config.sqlite_file, timeout=10, isolation_level=None)


@contextmanager
def house(**settings: str) -> Iterator[House]:
    """A house with these settings while control serves it."""
    place = Path(tempfile.mkdtemp(prefix="hereabouts-dashboard-"))
    place.chmod(0o755)  # control is another user
    given = {"DOMAIN": "example.org", "DATA_DIR": str(place / "data"), "RUN_DIR": str(place / "run"), **settings}
    config = configuration.load({f"HEREABOUTS_{name}": value for name, value in given.items()}, place)
    for directory in (config.data_dir, config.run_dir, config.supervisor_socket.parent):
        directory.mkdir()
        directory.chmod(0o755)
    made = House(config)
    made.account("alice")
    with serving(config) as control:
        made.pid = control.pid
        yield made
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def home() -> Iterator[House]:
    """The house of most tests."""
    assert os.geteuid() == 0
    with house() as made:
        made.account("bob")
        made.account("olivia", "--operator")
        yield made


@pytest.fixture
def somebody(home: House, request: pytest.FixtureRequest) -> str:
    """An account of the test's own."""
    return home.account(f"t{abs(hash(request.node.nodeid)) % 10**12}")


@pytest.fixture
def olivia(home: House) -> Browser:
    """The operator's browser."""
    return home.browser("olivia")
