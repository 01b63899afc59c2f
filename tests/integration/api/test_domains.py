"""Further names of a website: websites/{domain}/domains/"""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hereabouts.config import Config
from tests.integration.api.conftest import Authority, Caller, Supervisor, see, serving, visitor

DOMAIN = "alice.example.org"
TAKEN = {"domain_name": ["domain with this domain name already exists."]}
NOT_FOUND = {"detail": "Not found."}


def add(alice: Caller, name: str, **more: Any) -> Any:
    answer = alice.call("POST", f"{DOMAIN}/domains/", json={"domain_name": name, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_they_are_listed_with_the_main_one_first(alice: Caller) -> None:
    number = alice.create()["id"]
    cname = f"webapp-{number}.example.org"
    shop = {"domain_name": "www.shop.test", "enabled": True, "redirect": False, "cname": cname}
    assert add(alice, "WWW.Shop.test.") == shop
    bare = {"domain_name": "shop.test", "enabled": True, "redirect": True, "cname": cname}
    assert add(alice, "shop.test", redirect=True) == bare
    blog = {"domain_name": "blog-alice.example.org", "enabled": True, "redirect": False}
    assert add(alice, "blog-alice.example.org", extra="passed over") == blog
    listed = [{"domain_name": DOMAIN, "enabled": True}, shop, bare, blog]
    assert alice.call("GET", f"{DOMAIN}/domains/").json() == listed
    assert alice.call("GET", f"{DOMAIN}/").json()["webapp"]["domains"] == listed
    assert alice.call("GET").json()[0]["webapp"]["domains"] == listed
    assert alice.call("GET", f"{DOMAIN}/domains/shop.test/").json() == bare


def test_a_website_is_found_by_each_of_its_names(alice: Caller, bob: Caller) -> None:
    number = alice.create()["id"]
    add(alice, "www.shop.test")
    for name in ("www.shop.test", "WWW.shop.test."):
        assert alice.call("GET", f"{name}/").json()["id"] == number
    assert alice.call("PATCH", "www.shop.test/", json={"enabled": False}).json()["domain_name"] == DOMAIN
    assert alice.call("GET", "www.shop.test/domains/www.shop.test/").json()["enabled"] is False
    assert bob.call("GET", "www.shop.test/").json() == NOT_FOUND
    assert alice.call("DELETE", "www.shop.test/").status_code == 204
    assert alice.call("GET").json() == []
    assert bob.create("www.shop.test")["domain_name"] == "www.shop.test"


def test_each_change_is_in_force_when_it_is_answered(alice: Caller, supervisor: Supervisor) -> None:
    from hereabouts.control.store import DjangoStore

    number = alice.create()["id"]
    seen: list[object] = []

    def settle(website: int, generation: int, seconds: float) -> str:
        found = DjangoStore().website(website)
        assert found
        seen.append([(alias.name, alias.redirects) for alias in found.aliases])
        return "done"

    supervisor.settle = settle
    add(alice, "www.shop.test")
    assert alice.call("PATCH", f"{DOMAIN}/domains/www.shop.test/", json={"redirect": True}).json()["redirect"] is True
    assert alice.call("DELETE", f"{DOMAIN}/domains/www.shop.test/").content == b""
    assert seen == [[("www.shop.test", False)], [("www.shop.test", True)], []]
    assert set(supervisor.asked) == {(number, 1)}  # none of it needs a new process


def test_redirects_can_be_changed(alice: Caller) -> None:
    alice.create()
    add(alice, "www.shop.test")
    path = f"{DOMAIN}/domains/www.shop.test/"
    for wanted, redirect in (({"redirect": True}, True), ({}, True), ({"x": 1}, True), ({"redirect": False}, False)):
        assert alice.call("PATCH", path, json=wanted).json()["redirect"] is redirect
        assert alice.call("GET", path).json()["redirect"] is redirect
    assert alice.call("PATCH", path, data={"redirect": "on"}).json()["redirect"] is True


def test_the_main_name_stays_and_serves(alice: Caller) -> None:
    alice.create()
    path = f"{DOMAIN}/domains/{DOMAIN}/"
    answer = alice.call("DELETE", path)
    assert answer.status_code == 400
    assert answer.json() == {
        "detail": f"{DOMAIN} is the website's main name, which stays as long as the website. Delete that instead."
    }
    answer = alice.call("PATCH", path, json={"redirect": True})
    assert (answer.status_code, answer.json()) == (
        400, {"detail": f"{DOMAIN} is the website's main name, to which others redirect, so it always serves."}
    )  # fmt: skip
    assert alice.call("PATCH", path, json={"redirect": False}).status_code == 200
    assert alice.call("GET", path).json() == {"domain_name": DOMAIN, "enabled": True}


def test_another_name_can_be_made_the_main_one(alice: Caller, supervisor: Supervisor) -> None:
    from hereabouts.control.store import DjangoStore

    number = alice.create()["id"]
    add(alice, "www.shop.test", redirect=True)
    seen: list[object] = []

    def settle(website: int, generation: int, seconds: float) -> str:
        found = DjangoStore().website(website)
        assert found
        seen.append((found.domain, [(alias.name, alias.redirects) for alias in found.aliases]))
        return "done"

    supervisor.settle = settle
    path = f"{DOMAIN}/domains/www.shop.test/"
    main = {"domain_name": "www.shop.test", "enabled": True, "cname": f"webapp-{number}.example.org"}
    for _ in range(2):  # the second changes nothing
        answer = alice.call("PATCH", path, json={"main": True})
        assert (answer.status_code, answer.json()) == (200, main)
        assert seen.pop() == ("www.shop.test", [(DOMAIN, False)])
    found = alice.call("GET", f"{DOMAIN}/").json()
    assert (found["id"], found["domain_name"]) == (number, "www.shop.test")
    assert found["logfiles"]["error"] == "/var/log/www.shop.test.error.log"
    assert found["webapp"]["domains"] == [main, {"domain_name": DOMAIN, "enabled": True, "redirect": False}]
    assert alice.call("PATCH", f"{DOMAIN}/domains/{DOMAIN}/", json={"redirect": True}).json()["redirect"] is True
    for wanted, refusal in (
        ({"main": False}, {"main": ["A website always has a main name. Make another one the main one."]}),
        ({"main": None}, {"main": ["This field may not be null."]}),
        ({"main": 1}, {"main": ["Must be a valid boolean."]}),
        ({"main": True, "redirect": True},
         {"non_field_errors": ["The main name is where others redirect to. Leave one of the two out."]}),
    ):  # fmt: skip
        answer = alice.call("PATCH", f"{DOMAIN}/domains/{DOMAIN}/", json=wanted)
        assert (answer.status_code, answer.json()) == (400, refusal)
    assert alice.call("PATCH", f"{DOMAIN}/domains/{DOMAIN}/", data={"main": "on"}).status_code == 200
    assert alice.call("GET").json()[0]["domain_name"] == DOMAIN
    assert set(supervisor.asked) == {(number, 1)}


def test_whichever_was_made_the_main_name_last_is_the_only_one(alice: Caller) -> None:
    alice.create()
    names = [DOMAIN, "a.test", "b.test", "c.test"]
    for name in names[1:]:
        add(alice, name)
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda name: _make_main(alice, name), names * 3))
    assert set(codes) == {200}
    listed = alice.call("GET", f"{DOMAIN}/domains/").json()
    assert sorted(each["domain_name"] for each in listed) == sorted(names)
    assert ["redirect" in each for each in listed] == [False, True, True, True]


def _make_main(alice: Caller, name: str) -> int:
    return alice.call("PATCH", f"{name}/domains/{name}/", json={"main": True}).status_code


def test_a_name_that_somebody_has(alice: Caller, bob: Caller) -> None:
    alice.create()
    bob.create()
    alice.create("www.shop.test")
    for name in ("www.shop.test", DOMAIN):
        answer = alice.call("POST", f"{DOMAIN}/domains/", json={"domain_name": name})
        assert (answer.status_code, answer.json()) == (400, TAKEN)
    answer = bob.call("POST", "bob.example.org/domains/", json={"domain_name": "www.shop.test"})
    assert answer.status_code == 400
    assert answer.json()["domain_name"] == TAKEN["domain_name"]


def test_an_account_has_so_many_custom_domains(alice: Caller, bob: Caller, apart: Config) -> None:
    with serving(dataclasses.replace(apart, domains_each=2)), visitor(apart) as client:
        caller, other = (dataclasses.replace(each, client=client) for each in (alice, bob))
        caller.create()
        other.create("bobs.test")
        add(caller, "a.test")
        refusal = {"domain_name": [
            "An account may have 2 custom domains on this platform, and alice has as many. Remove one first, or ask "
            "the operator for more."
        ]}  # fmt: skip

        def one_more(name: str) -> tuple[int, Any]:
            answer = caller.call("POST", f"{DOMAIN}/domains/", json={"domain_name": name})
            return answer.status_code, answer.json()

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(one_more, ["b.test", "c.test", "d.test", "e.test"]))
        assert sorted(code for code, _ in answers) == [201, 400, 400, 400]
        assert [said for code, said in answers if code == 400] == [refusal] * 3
        add(caller, "b-alice.example.org")  # which is the platform's
        body = {"domain_name": "f.test", "webapp": {"command": "true"}}
        assert caller.call("POST", json=body).json() == refusal
        assert other.call("POST", "bobs.test/domains/", json={"domain_name": "g.test"}).status_code == 201
        assert caller.call("DELETE", f"{DOMAIN}/domains/a.test/").status_code == 204
        assert caller.call("POST", json=body).status_code == 201


@pytest.mark.parametrize(
    "name", ["bob.example.org", "www.example.org", "example.org", "localhost", "192.0.2.1", "*.shop.test", "a..b", " "]
)
def test_a_name_that_is_none_of_yours(alice: Caller, name: str) -> None:
    alice.create()
    answer = alice.call("POST", f"{DOMAIN}/domains/", json={"domain_name": name})
    assert (answer.status_code, list(answer.json())) == (400, ["domain_name"])
    assert len(alice.call("GET", f"{DOMAIN}/domains/").json()) == 1


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        ({}, {"domain_name": ["This field is required."]}),
        ({"domain_name": None}, {"domain_name": ["This field may not be null."]}),
        ({"domain_name": 7}, {"domain_name": ["Not a valid string."]}),
        ({"domain_name": "www.shop.test", "redirect": 1}, {"redirect": ["Must be a valid boolean."]}),
        ({"domain_name": "www.shop.test", "redirect": None}, {"redirect": ["This field may not be null."]}),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
    ],
)
def test_a_body_that_will_not_do(alice: Caller, wanted: object, refusal: object) -> None:
    alice.create()
    answer = alice.call("POST", f"{DOMAIN}/domains/", content=json.dumps(wanted), headers=JSON)
    assert (answer.status_code, answer.json()) == (400, refusal)


JSON = {"Content-Type": "application/json"}


def test_what_is_not_there(alice: Caller, bob: Caller) -> None:
    alice.create()
    add(alice, "www.shop.test")
    alice.create("b-alice.example.org")
    bob.create()
    for caller, path in (
        (alice, f"{DOMAIN}/domains/other.test/"), (alice, f"{DOMAIN}/domains/%00/"),
        (alice, "b-alice.example.org/domains/www.shop.test/"),  # another website's
        (bob, "bob.example.org/domains/www.shop.test/"), (bob, f"{DOMAIN}/domains/www.shop.test/"),
    ):  # fmt: skip
        for method in ("GET", "PATCH", "DELETE"):
            answer = caller.call(method, path, json={"redirect": True})
            assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    for method in ("GET", "POST"):
        answer = bob.call(method, f"{DOMAIN}/domains/", json={"domain_name": "bobs.test"})
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    assert alice.call("GET", f"{DOMAIN}/domains/www.shop.test/").json()["redirect"] is False


def test_a_new_custom_domain_is_looked_up_at_once(alice: Caller, supervisor: Supervisor, authority: Authority) -> None:
    from hereabouts.control.models import Domain

    def look(name: str) -> object:
        detail = f"{name} has no DNS record. Create a CNAME record."
        Domain.objects.filter(name=name).update(dns_detail=detail, dns_checked_at=1.0)
        return {"detail": detail}

    authority.look = look
    see(alice.create()["id"])
    add(alice, "www.shop.test")
    add(alice, "b-alice.example.org")
    assert authority.asked == [["look", "www.shop.test"]]
    for website in (alice.call("GET", f"{DOMAIN}/").json(), alice.call("GET").json()[0]):
        state = website["state"]
        assert (state["status"], state["detail"]) == (
            "running", "www.shop.test has no DNS record. Create a CNAME record."
        )  # fmt: skip
    see(alice.create("www.other.test")["id"], "crashed", detail="Exit code 1.")
    assert alice.call("GET", "www.other.test/").json()["state"]["detail"] == "Exit code 1."
    alice.call("PATCH", f"{DOMAIN}/", json={"enabled": False})
    assert alice.call("GET", f"{DOMAIN}/").json()["state"]["detail"] is None


def test_adding_and_removing_at_once(alice: Caller) -> None:
    alice.create()
    codes: list[tuple[str, int]] = []

    def repeat(number: int) -> None:
        for _ in range(20):
            if number % 2:
                answer = alice.call("POST", f"{DOMAIN}/domains/", json={"domain_name": "www.shop.test"})
            else:
                answer = alice.call("DELETE", f"{DOMAIN}/domains/www.shop.test/")
            codes.append(("POST" if number % 2 else "DELETE", answer.status_code))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(repeat, range(8)))
    assert set(codes) <= {("POST", 201), ("POST", 400), ("DELETE", 204), ("DELETE", 404)}
    assert codes.count(("POST", 201)) - codes.count(("DELETE", 204)) in (0, 1)


def test_https_settings_apply_without_a_new_process(alice: Caller, supervisor: Supervisor) -> None:
    number = alice.create()["id"]
    wanted = {"force_https": True, "hsts_seconds": 63_072_000}
    found = alice.call("PATCH", f"{DOMAIN}/", json={"webapp": wanted}).json()["webapp"]
    assert {name: found[name] for name in wanted} == wanted
    assert supervisor.asked[-1] == (number, 1)
    body = {"domain_name": "b-alice.example.org", "webapp": {"command": "true", **wanted}}
    assert alice.call("POST", json=body).json()["webapp"]["hsts_seconds"] == 63_072_000
    answer = alice.call("PATCH", f"{DOMAIN}/", data={"webapp.force_https": "off", "webapp.hsts_seconds": "0"})
    assert (answer.json()["webapp"]["force_https"], answer.json()["webapp"]["hsts_seconds"]) == (False, 0)


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        ({"force_https": 1}, {"force_https": ["Must be a valid boolean."]}),
        ({"force_https": None}, {"force_https": ["This field may not be null."]}),
        ({"hsts_seconds": -1}, {"hsts_seconds": ["Ensure this value is greater than or equal to 0."]}),
        ({"hsts_seconds": 63_072_001}, {"hsts_seconds": ["Ensure this value is less than or equal to 63072000."]}),
        ({"hsts_seconds": "60"}, {"hsts_seconds": ["A valid integer is required."]}),
        ({"hsts_seconds": 1.5}, {"hsts_seconds": ["A valid integer is required."]}),
    ],
)
def test_https_settings_that_will_not_do(alice: Caller, wanted: object, refusal: object) -> None:
    alice.create()
    answer = alice.call("PATCH", f"{DOMAIN}/", json={"webapp": wanted})
    assert (answer.status_code, answer.json()) == (400, {"webapp": refusal})
