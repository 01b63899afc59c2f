"""A domain's DNS on its website's page: what is said while it is wrong, right, or can't be looked up."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import psutil
import pytest

from tests.certified import Stage
from tests.integration.dashboard.conftest import Person
from tests.platform import Platform, wait_for

DOMAIN = "dns-dora.localhost"
HERE = f"/websites/{DOMAIN}/domains/"
ELSEWHERE = "93.184.216.34"
HOSTILE = "<img/src=x/onerror=alert(1)>"


@pytest.fixture(scope="module")
def dora(shared: Stage) -> Iterator[Person]:
    """Dora, signed in, with a website that needs no process."""
    account = shared.platform.account("dora")
    account.create("true", DOMAIN, enabled=False)
    yield Person(shared.platform).sign_in("dora")
    account.delete(DOMAIN)


def parts(dora: Person, name: str) -> str:
    """What the page asks for by itself."""
    answer = dora.get(f"/websites/{DOMAIN}/dns/", params={"name": name})
    assert answer.status_code == 200
    return html.unescape(answer.text)


def said(page: str) -> list[str]:
    """The messages on a page, each with its kind."""
    return [
        f"{kind}: {text}" for kind, text in re.findall(r'class="notice (success|warning|error)"[^>]*>([^<]+)', page)
    ]


def test_what_leads_elsewhere_is_a_warning_and_turns_right_by_itself(stage: Stage, dora: Person) -> None:
    name = stage.fresh()
    stage.pebble.names.lead(name, ELSEWHERE)
    dora.sent(HERE, {"do": "add", "domain_name": name})
    page = dora.sent(HERE, {"do": "check", "domain": name})
    [message] = said(page)
    assert message.startswith(f"warning: {name} leads to {ELSEWHERE}, which is not this platform.")
    found = parts(dora, name)
    assert f"{name} leads to {ELSEWHERE}" in found
    assert "hx-trigger" in found
    stage.pebble.names.lead(name, "127.0.0.1")
    wait_for(lambda: "Leads here" in parts(dora, name), 90, "it is looked up by itself")
    assert "hx-trigger" not in parts(dora, name)  # there is nothing left to look for
    assert said(dora.sent(HERE, {"do": "check", "domain": name})) == [f"success: {name} leads here."]


def test_what_could_not_be_looked_up_is_not_called_right(stage: Stage, dora: Person) -> None:
    place: Platform = stage.platform
    known, unknown = stage.fresh(), stage.fresh()
    dora.sent(HERE, {"do": "add", "domain_name": known})
    wait_for(lambda: "Leads here" in parts(dora, known))
    certificates = psutil.Process(place.pids()["certificates"])
    certificates.suspend()
    try:
        dora.sent(HERE, {"do": "add", "domain_name": unknown})
        for name in (known, unknown):
            [message] = said(dora.sent(HERE, {"do": "check", "domain": name}))
            assert message.startswith(f"warning: {name} could not be looked up now: the certificates process")
        found = parts(dora, unknown)
        assert "Not looked up yet." in found
        assert "hx-trigger" in found
    finally:
        certificates.resume()


def test_hostile_answers_are_only_text(stage: Stage, dora: Person) -> None:
    name = stage.fresh()
    stage.pebble.names.tell("set-cname", host=f"{name}.", target=f"{HOSTILE}.example.org.")
    stage.pebble.names.tell("set-txt", host=f"_hereabouts-challenge.{name}.", value=HOSTILE)
    try:
        dora.sent(HERE, {"do": "add", "domain_name": name})
        dora.sent(HERE, {"do": "check", "domain": name})
        page = dora.get(HERE).text
        assert HOSTILE not in page
        place = stage.platform
        erik = place.account("erik")
        other = Person(place).sign_in(erik.name)
        answer = other.post("/websites/new/", {"domain_name": name, "framework": "own", "command": "true"})
        assert answer.status_code == 422
        assert HOSTILE in html.unescape(answer.text)
        assert HOSTILE not in answer.text
    finally:
        stage.pebble.names.tell("clear-cname", host=f"{name}.")


def test_a_renewal_that_fails_can_be_tried_again(stage: Stage, dora: Person) -> None:
    name = stage.fresh()
    dora.sent(HERE, {"do": "add", "domain_name": name})
    assert "which is renewed by itself" in dora.sent(HERE, {"do": "order", "domain": name})
    assert "Try again now" not in dora.get(HERE).text
    stage.change(name, renew_at=1.0, next_try_at=4e9, failures=1, problem="The authority had a bad day.")
    page = dora.get(HERE).text
    assert "The authority had a bad day." in page
    assert "Try again now" in page
    before = stage.fingerprint(name)
    dora.sent(HERE, {"do": "order", "domain": name})
    assert stage.fingerprint(name) != before
    assert "The authority had a bad day." not in dora.get(HERE).text
