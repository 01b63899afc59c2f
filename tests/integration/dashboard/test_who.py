"""Every page and every action, tried as nobody, as another account, as the owner, as an operator, from elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

import hereabouts
from hereabouts.daemons.environ import environment
from tests.integration.dashboard.conftest import PASSWORD, Person
from tests.integration.sites import PLAIN, site
from tests.platform import Account, Platform

DOMAIN, OTHER = "who-bob.localhost", "www.who-bob.test"
SITE, VICTIM = f"/websites/{DOMAIN}/", "/operator/accounts/victor/"
COMMAND = "/usr/bin/python3 plain.py $DOMAIN_SOCKET"
HTMX = {"HX-Request": "true"}


@dataclass(frozen=True)
class Try:
    """A request for the page of this name; ``code`` is the answer for who may. ``fields``: a form that is sent."""

    name: str
    path: str
    fields: dict[str, str] | None = None
    code: int = 200


def _do(what: str, code: int = 303, **fields: str) -> Try:
    return Try("website_domains", f"{SITE}domains/", {"do": what, "domain": OTHER, **fields}, code)


def _deed(what: str, code: int = 303) -> Try:
    return Try("operator_account", VICTIM, {"do": what, "confirmed": "yes"}, code)


KINDS = ("error", "server", "access")
ANYBODYS = (
    Try("sign_in", "/sign-in/"),
    Try("sign_in", "/sign-in/", {"username": "nobody", "password": "guess"}, 422),
    Try("sign_in_code", "/sign-in/code/", None, 302),
    Try("sign_in_code", "/sign-in/code/", {"code": "guess"}, 302),
    Try("sign_up", "/sign-up/", None, 404),
    Try("sign_up", "/sign-up/", {"username": "carol", "password": PASSWORD, "again": PASSWORD}, 404),
    Try("sign_out", "/sign-out/", {}, 302),
)
"""Whoever is signed in already is led on from here."""
EVERYBODYS = (
    Try("first", "/", None, 302),
    Try("first", "/", {}, 302),
    Try("websites", "/websites/"),
    Try("new_website", "/websites/new/"),
    Try("new_website", "/websites/new/", {"domain_name": "x", "command": "true"}, 422),
    Try("new_website_recipe", "/websites/new/recipe/", {"framework": "flask"}),
    Try("new_website_name", "/websites/new/name/?domain_name=x.test"),
    Try("account", "/account/", None, 302),
    Try("account_token", "/account/token/"),
    Try("account_token", "/account/token/", {}),
    Try("account_authorities", "/account/hereabouts-authorities.pem"),
    Try("account_password", "/account/password/"),
    Try("account_password", "/account/password/", {"password": PASSWORD, "new": "another", "again": "horse"}, 422),
    Try("account_sessions", "/account/sessions/"),
    Try("account_sessions", "/account/sessions/", {"session": "none"}, 303),
    Try("account_two_factor", "/account/two-factor/"),
    Try("account_two_factor", "/account/two-factor/", {"do": "on", "code": "guess"}, 422),
    Try("account_two_factor", "/account/two-factor/", {"do": "codes", "password": PASSWORD}),
    Try("account_two_factor", "/account/two-factor/", {"do": "off", "password": PASSWORD}),
)
"""About oneself, for all who are signed in."""
OWNERS = (
    Try("website", SITE),
    Try("website_steps", f"{SITE}steps/"),
    Try("website_command", f"{SITE}command/"),
    Try("website_domains", f"{SITE}domains/"),
    Try("website_dns", f"{SITE}dns/?name={DOMAIN}"),
    *(Try("website_logs", f"{SITE}logs/?kind={kind}") for kind in KINDS),
    *(Try("website_logs", f"{SITE}logs/{kind}/{how}") for kind in KINDS for how in ("stream", "download")),
    Try("website_delete", f"{SITE}delete/"),
    Try("website_reload", f"{SITE}reload/", {}, 303),
    Try("website_enabled", f"{SITE}enabled/", {"enabled": "no"}, 303),
    Try("website_enabled", f"{SITE}enabled/", {"enabled": "yes"}, 303),
    Try("website_command", f"{SITE}command/", {"health_seconds": "7"}, 303),
    _do("add", domain_name=f"more.{OTHER}"),
    _do("redirect", redirect="yes"),
    _do("check"),
    _do("order", 422),  # its DNS does not lead here
    _do("upload", 422, cert="x", private_key="x"),
    _do("delete_certificate", 422),
    _do("main"),
    _do("main", domain=DOMAIN),
    _do("https", force_https="yes", hsts_seconds="0"),
    _do("remove"),
    Try("website_delete", f"{SITE}delete/", {"confirmed": DOMAIN}, 303),
)
"""Of bob's website: for him and for operators, in this order."""
OPERATORS = (
    Try("operator", "/operator/"),
    Try("operator_accounts", "/operator/accounts/"),
    Try("operator_accounts", "/operator/accounts/", {"username": "alice"}, 422),  # there is one
    Try("operator_account", VICTIM),
    Try("operator_websites", "/operator/websites/"),
    Try("operator_certificates", "/operator/certificates/"),
    Try("operator_audit", "/operator/audit/"),
    _deed("suspend"),
    _deed("resume"),
    _deed("reset", 200),
    _deed("sign-out"),
    _deed("revoke"),
    _deed("second-factor"),
)
GUARDED = (*EVERYBODYS, *OWNERS, *OPERATORS)
# What there is: the pages' names, and what their forms can ask for. In a process of its own, for Django is set up once.
_ALL = """\
import json
import django
django.setup()
from hereabouts.control.dashboard import names, operator_accounts, urls
print(json.dumps([[each.name for each in urls.urlpatterns], [*names._ACTS, *operator_accounts._DEEDS]]))
"""


@dataclass
class Somebody(Person):
    """``form`` is a page whose form everything that is sent carries the token of."""

    form: str = "/account/password/"

    def tries(self, each: Try, **kwargs: Any) -> requests.Response:
        """The answer; of a stream, its beginning."""
        if each.fields is not None:
            return self.post(each.path, each.fields, form=self.form, **kwargs)
        answer = self.get(each.path, stream=True, **kwargs)
        answer.close() if answer.ok and each.path.endswith("/stream") else answer.content
        return answer


@dataclass
class People:
    """Who tries; each in a session of these tests alone."""

    nobody: Somebody
    alice: Somebody
    bob: Somebody
    operator: Somebody
    owner: Account

    def unchanged(self) -> tuple[Any, ...]:
        """All that somebody could change who may not."""
        found = self.owner.get(DOMAIN)
        victim = plain(self.operator.get(VICTIM).text)
        names = sorted(each["domain_name"] for each in self.owner.call("GET").json())
        return found["enabled"], found["webapp"], found["state"], names, victim


@pytest.fixture(scope="module")
def people(running: Platform, alice: Account, bob: Account, operators_name: str) -> Iterator[People]:
    running.cli("user", "add", "victor", "--password-stdin", input=f"{PASSWORD}\n")
    made = People(Somebody(running, form="/sign-in/"), *(Somebody(running) for _ in range(3)), owner=bob)
    for person, name in ((made.alice, alice.name), (made.bob, bob.name), (made.operator, operators_name)):
        person.sign_in(name)
    yield made
    running.cli("user", "remove", "victor", "--yes")


@pytest.fixture
def bobs(bob: Account) -> Iterator[None]:
    """A website of his, which serves and has another name."""
    bob.write("plain.py", PLAIN)
    with site(bob, COMMAND, DOMAIN):
        assert bob.call("POST", f"{DOMAIN}/domains/", json={"domain_name": OTHER}).status_code == 201
        yield


def plain(text: str) -> str:
    """A page without what differs each time."""
    return re.sub(r'value="[A-Za-z0-9]{64}"|"X-CSRFToken": "[A-Za-z0-9]{64}"', "", text)


def led_to_sign_in(answer: requests.Response) -> bool:
    return answer.status_code == 302 and answer.headers["Location"].startswith("/sign-in")


def test_every_page_and_action_is_in_the_table(running: Platform) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ALL], env=environment(running.config), cwd="/", text=True, check=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    pages, actions = json.loads(done.stdout)
    assert {each.name for each in (*ANYBODYS, *GUARDED)} == set(pages)
    templates = (Path(hereabouts.__file__).parent / "control/templates").rglob("*.html")
    asked = set(re.findall(r'name="do" value="([^"]+)"', "".join(map(Path.read_text, templates))))
    assert {each.fields["do"] for each in GUARDED if each.fields and "do" in each.fields} == asked | set(actions)


def test_a_page_takes_no_other_request_than_those_of_the_table(people: People, bobs: None) -> None:
    paths = {each.path.partition("?")[0] for each in GUARDED}
    for path in paths:
        ways = {each.fields is not None for each in GUARDED if each.path.partition("?")[0] == path}
        person = people.operator if path.startswith("/operator") else people.bob
        for sends in {True, False} - ways:
            answer = person.tries(Try("", path, {} if sends else None))
            assert answer.status_code == 405, (path, sends)


def test_nobody_is_sent_to_sign_in(people: People, bobs: None) -> None:
    before = people.unchanged()
    for each in GUARDED:
        answer = people.nobody.tries(each)
        assert led_to_sign_in(answer), each
        assert DOMAIN not in answer.text
        assert people.nobody.tries(each, headers=HTMX).status_code == 401, each
    assert people.unchanged() == before


def test_what_is_anothers_is_not_there(people: People, bobs: None) -> None:
    before, missing = people.unchanged(), plain(people.alice.get("/websites/none-alice.localhost/").text)
    for each in OWNERS:
        answer = people.alice.tries(each)
        assert (answer.status_code, plain(answer.text)) == (404, missing), each
    for each in OPERATORS:
        for person in (people.alice, people.bob):
            assert person.tries(each).status_code == 404, each
    assert people.unchanged() == before


def test_a_form_from_elsewhere_is_refused(people: People, bobs: None) -> None:
    before = people.unchanged()
    for each in (*ANYBODYS, *GUARDED):
        if each.fields is None:
            continue
        person = people.operator if each in OPERATORS else people.nobody if each in ANYBODYS else people.bob
        url = person.platform.api + each.path
        assert person.session.post(url, data=each.fields, timeout=60).status_code == 403, each
        answer = person.tries(each, headers={"Origin": "https://evil.example"})
        assert (answer.status_code, "<h1>" in answer.text) == (403, True), each
    assert people.unchanged() == before


@pytest.mark.parametrize("name", ["bob", "operator"])
def test_an_owner_and_an_operator_may(people: People, bobs: None, name: str) -> None:
    person: Somebody = getattr(people, name)
    for each in OWNERS:
        answer = person.tries(each)
        assert answer.status_code == each.code, (each, answer.text)
    assert people.owner.call("GET", f"{DOMAIN}/").status_code == 404


def test_an_operator_may(people: People) -> None:
    for each in OPERATORS:
        assert people.operator.tries(each).status_code == each.code, each


def test_everybody_sees_to_his_own(people: People) -> None:
    for each in ANYBODYS:
        assert people.nobody.tries(each).status_code == each.code, each
    for person in (people.alice, people.bob, people.operator):
        for each in EVERYBODYS:
            answer = person.tries(each)
            assert (answer.status_code, led_to_sign_in(answer)) == (each.code, False), each
        for each in ANYBODYS:
            assert person.tries(each).status_code in (302, 404), each
        assert led_to_sign_in(person.get("/websites/"))  # for signing out was the last of them
