"""A custom domain that another account holds goes to whoever proves by the DNS that it is his."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.integration.api.conftest import Authority, Caller, Supervisor, see

SHOP = "www.shop.test"
TAKEN = ["domain with this domain name already exists."]


def ask(caller: Caller, name: str = SHOP, website: str = "") -> Any:
    """The answer to asking for the name, for a new website or for an existing one."""
    if website:
        return caller.call("POST", f"{website}/domains/", json={"domain_name": name})
    return caller.call("POST", json={"domain_name": name, "webapp": {"command": "true"}})


def prove(caller: Caller, authority: Authority, name: str = SHOP) -> None:
    """Create the record that the refusal asks for."""
    proof = ask(caller, name).json()["proof"]
    assert proof["name"] == f"_hereabouts-challenge.{name}"
    authority.records[name] = ["v=spf1 -all", proof["value"]]


def names(caller: Caller) -> list[list[str]]:
    return [[d["domain_name"] for d in found["webapp"]["domains"]] for found in caller.call("GET").json()]


def test_the_refusal_says_which_record_to_create(alice: Caller, bob: Caller, authority: Authority) -> None:
    alice.create(SHOP)
    bob.create()
    for answer in (ask(bob), ask(bob, "WWW.Shop.Test."), ask(bob, website="bob.example.org")):
        assert answer.status_code == 400
        assert next(iter(answer.json())) == "domain_name"
        assert answer.json()["domain_name"] == TAKEN
        proof = answer.json()["proof"]
        assert (proof["type"], proof["name"]) == ("TXT", "_hereabouts-challenge.www.shop.test")
        assert re.fullmatch("[0-9a-f]{40}", proof["value"])
        assert proof["detail"] == "There is no such TXT record now."
    assert ask(bob).json()["proof"] == proof  # the same each time
    authority.records[SHOP] = ["v=spf1 -all"]
    assert ask(bob).json()["proof"]["detail"] == "The TXT record there now holds 'v=spf1 -all'."
    assert names(alice) == [[SHOP]]


def test_nobody_answers_for_the_dns(alice: Caller, bob: Caller) -> None:
    alice.create(SHOP)
    answer = ask(bob).json()
    assert answer["domain_name"] == TAKEN
    assert "certificates process is not answering" in answer["proof"]["detail"]


def test_the_value_is_for_one_account_and_one_name(
    alice: Caller, bob: Caller, operator: Caller, authority: Authority
) -> None:
    alice.create(SHOP)
    alice.create("shop.test")
    values = {ask(caller, name).json()["proof"]["value"] for caller in (bob, operator) for name in (SHOP, "shop.test")}
    assert len(values) == 4
    authority.records[SHOP] = sorted(values - {ask(bob).json()["proof"]["value"]})
    assert ask(bob).status_code == 400


def test_a_website_that_had_no_other_name_goes_on(
    alice: Caller, bob: Caller, authority: Authority, supervisor: Supervisor
) -> None:
    former = alice.create(SHOP)["id"]
    prove(bob, authority)
    supervisor.asked.clear()
    answer = ask(bob)
    assert answer.status_code == 201, answer.text
    number = answer.json()["id"]
    assert answer.json()["webapp"]["domains"][0]["cname"] == f"webapp-{number}.example.org"
    [left] = alice.call("GET").json()
    fallback = f"webapp-{former}.example.org"
    assert (left["id"], left["domain_name"], left["enabled"]) == (former, fallback, True)
    assert left["webapp"]["domains"] == [{"domain_name": fallback, "enabled": True}]
    assert alice.call("POST", f"{fallback}/reload/").status_code == 502  # found by that name; nothing runs here
    assert (former, 1) in supervisor.asked
    assert (number, 1) in supervisor.asked
    assert supervisor.withdrawn == [SHOP]


def test_another_name_of_the_website_becomes_the_main_one(alice: Caller, bob: Caller, authority: Authority) -> None:
    alice.create(SHOP)
    for name, redirect in (("shop.test", True), ("a-alice.example.org", False), ("b-alice.example.org", False)):
        alice.call("POST", f"{SHOP}/domains/", json={"domain_name": name, "redirect": redirect})
    bob.create()
    prove(bob, authority)
    assert ask(bob, website="bob.example.org").status_code == 201
    assert names(alice) == [["a-alice.example.org", "shop.test", "b-alice.example.org"]]
    assert names(bob) == [["bob.example.org", SHOP]]
    prove(bob, authority, "shop.test")
    assert ask(bob, "shop.test").status_code == 201
    assert names(alice) == [["a-alice.example.org", "b-alice.example.org"]]


def test_a_redirect_that_becomes_the_main_name_serves(alice: Caller, bob: Caller, authority: Authority) -> None:
    alice.create(SHOP)
    alice.call("POST", f"{SHOP}/domains/", json={"domain_name": "shop.test", "redirect": True})
    prove(bob, authority)
    assert ask(bob).status_code == 201
    from hereabouts.control.models import Domain

    main = Domain.objects.get(name="shop.test")
    assert (main.is_main, main.redirects) == (True, False)


def test_the_certificate_does_not_go_along(alice: Caller, bob: Caller, authority: Authority) -> None:
    alice.create(SHOP)
    assert alice.ssl("POST", SHOP, json={"cert_type": "letsencrypt-auto-renew"}).status_code == 200
    prove(bob, authority)
    assert ask(bob).status_code == 201
    assert bob.ssl("GET", SHOP).status_code == 404
    from hereabouts.control.models import Certificate

    assert not Certificate.objects.exists()


def test_what_the_dns_said_of_the_former_owner_is_forgotten(alice: Caller, bob: Caller, authority: Authority) -> None:
    from hereabouts.control.models import Domain

    alice.create(SHOP)
    Domain.objects.update(dns_detail="It leads elsewhere.", dns_checked_at=1.0)
    prove(bob, authority)
    see(ask(bob).json()["id"])
    assert bob.call("GET", f"{SHOP}/").json()["state"]["detail"] is None


@pytest.mark.parametrize("name", ["alice.example.org", "shop-alice.example.org"])
def test_names_of_the_platform_are_never_taken_over(
    alice: Caller, bob: Caller, authority: Authority, name: str
) -> None:
    alice.create(name)
    answer = ask(bob, name)
    assert (answer.status_code, list(answer.json())) == (400, ["domain_name"])
    assert authority.asked == []


def test_from_oneself_there_is_nothing_to_take_over(alice: Caller, authority: Authority) -> None:
    alice.create(SHOP)
    alice.create()
    for answer in (ask(alice), ask(alice, website="alice.example.org")):
        assert (answer.status_code, answer.json()) == (400, {"domain_name": TAKEN})
    assert [words for words in authority.asked if words[0] == "proof"] == []


def test_a_refused_website_takes_nothing_over(alice: Caller, bob: Caller, authority: Authority) -> None:
    alice.create(SHOP)
    prove(bob, authority)
    answer = bob.call("POST", json={"domain_name": SHOP, "webapp": {"command": " "}})
    assert (answer.status_code, list(answer.json())) == (400, ["webapp"])
    assert names(alice) == [[SHOP]]


def test_the_dns_is_asked_outside_of_any_transaction(alice: Caller, bob: Caller, authority: Authority) -> None:
    """While it is asked, others write."""
    alice.create(SHOP)
    prove(bob, authority)
    found = authority.records[SHOP]

    class Slow(dict[str, list[str]]):
        def get(self, name: str, default: Any = None) -> Any:
            alice.create("meanwhile-alice.example.org")
            return found

    authority.records = Slow()
    assert ask(bob).status_code == 201
    assert ["meanwhile-alice.example.org"] in names(alice)
