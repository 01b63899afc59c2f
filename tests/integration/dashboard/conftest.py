"""The dashboard over HTTP on the running platform: people without JavaScript, and what htmx would send."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.platform import Account, Platform

PASSWORD = "correct horse battery staple"
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass
class Person:
    """Somebody at a browser that knows no JavaScript."""

    platform: Platform
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        self.session.verify = str(self.platform.config.ca_bundle)
        self.session.headers["Referer"] = f"{self.platform.api}/"

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        """A page, as it is answered."""
        return self.session.get(self.platform.api + path, timeout=60, allow_redirects=False, **kwargs)

    def post(
        self, path: str, data: dict[str, str] | None = None, *, form: str = "", **kwargs: Any
    ) -> requests.Response:
        """Send a form of the page ``form`` (the same path unless given), as it is answered."""
        token = _TOKEN.search(self.get(form or path).text)
        sent = {**(data or {}), **({"csrfmiddlewaretoken": token[1]} if token else {})}
        return self.session.post(self.platform.api + path, data=sent, timeout=60, allow_redirects=False, **kwargs)

    def sent(self, path: str, data: dict[str, str] | None = None, *, form: str = "") -> str:
        """Send a form and read the page that it leads to."""
        answer = self.post(path, data, form=form)
        assert answer.status_code == 303, f"{answer.status_code}: {answer.text}"
        page = self.get(answer.headers["Location"])
        assert page.status_code == 200, page.text
        return html.unescape(page.text)

    def sign_in(self, name: str) -> Person:
        """Sign in with the password of every account of the tests."""
        answer = self.post("/sign-in/", {"username": name, "password": PASSWORD})
        assert answer.status_code == 302, answer.text
        return self


@pytest.fixture
def anyone(running: Platform) -> Person:
    """Somebody who is not signed in."""
    return Person(running)


@pytest.fixture(scope="module")
def alice_in(running: Platform, alice: Account) -> Person:
    return Person(running).sign_in(alice.name)


@pytest.fixture(scope="module")
def bob_in(running: Platform, bob: Account) -> Person:
    return Person(running).sign_in(bob.name)


@pytest.fixture(scope="session")
def operators_name(running: Platform) -> Iterator[str]:
    """An operator's account."""
    running.cli("user", "add", "oscar", "--operator", "--password-stdin", input=f"{PASSWORD}\n")
    yield "oscar"
    running.cli("user", "remove", "oscar", "--yes", check=False)


@pytest.fixture(scope="module")
def operator_in(running: Platform, operators_name: str) -> Person:
    return Person(running).sign_in(operators_name)
