"""POST websites/"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.api.conftest import Caller, Supervisor, see

UNATTENDED = "The supervisor is not answering; the change will be carried out once it runs."
TAKEN = {"domain_name": ["domain with this domain name already exists."]}


def body(domain: object = "alice.example.org", command: object = "uvicorn app:app", **extra: object) -> dict[str, Any]:
    return {"domain_name": domain, "enabled": True, "webapp": {"command": command}} | extra


def test_the_object(alice: Caller) -> None:
    answer = alice.call("POST", json=body())
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, "application/json")
    found = answer.json()
    number = found["id"]
    assert isinstance(number, int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["state"].pop("since"))
    assert found == {
        "domain_name": "alice.example.org",
        "enabled": True,
        "id": number,
        "user": "alice",
        "logfiles": {
            "access": "/var/log/alice.example.org.access.log",
            "error": "/var/log/alice.example.org.error.log",
            "server": "/var/log/alice.example.org.server.log",
        },
        "webapp": {
            "command": "uvicorn app:app",
            "id": number,
            "stop_first": False,
            "health_path": "",
            "health_status": 200,
            "health_seconds": 30.0,
            "force_https": False,
            "hsts_seconds": 0,
            "domains": [{"domain_name": "alice.example.org", "enabled": True}],
        },
        "state": {"status": "starting", "detail": UNATTENDED},
    }


def test_it_answers_once_the_website_serves(alice: Caller, supervisor: Supervisor) -> None:
    def settle(website: int, generation: int, seconds: float) -> str:
        assert seconds == 3
        see(website, serving=generation)
        return "done"

    supervisor.settle = settle
    found = alice.create()
    assert supervisor.asked == [(found["id"], 1)]
    assert found["state"] == {"status": "running", "since": "2026-01-02T03:04:05Z", "detail": None}


def test_it_says_why_a_website_does_not_serve(alice: Caller, supervisor: Supervisor) -> None:
    def settle(website: int, generation: int, seconds: float) -> str:
        see(website, "restarting", detail="The command was not found.", serving=0, failed=1)
        return "done"

    supervisor.settle = settle
    assert alice.create()["state"]["detail"] == "The command was not found."


def test_a_supervisor_that_is_still_waiting(alice: Caller, supervisor: Supervisor) -> None:
    supervisor.settle = lambda website, generation, seconds: "waiting"
    state = alice.create()["state"]
    assert (state["status"], state["detail"]) == ("starting", None)


def test_numbers_are_not_used_again(alice: Caller) -> None:
    first = alice.create()["id"]
    alice.call("DELETE", "alice.example.org/")
    assert alice.create()["id"] > first


def test_a_form(alice: Caller) -> None:
    form = {"domain_name": "alice.example.org", "webapp.command": "uvicorn app:app"}
    answer = alice.call("POST", data=form)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["enabled"], answer.json()["webapp"]["command"]) == (True, "uvicorn app:app")
    for number, word in enumerate(("False", "0", "off")):
        domain = f"off{number}-alice.example.org"
        answer = alice.call("POST", data={**form, "domain_name": domain, "enabled": word})
        assert answer.json()["enabled"] is False
    answer = alice.call("POST", files={name: (None, value) for name, value in form.items()})
    assert (answer.status_code, answer.json()) == (400, TAKEN)
    assert alice.call("POST", data={"domain_name": "x-alice.example.org"}).json() == {
        "webapp": ["This field is required."]
    }


def test_further_keys_are_passed_over(alice: Caller) -> None:
    answer = alice.call("POST", json=body(webapp={"command": "true", "path": "/x"}, id=1, color="red"))
    assert answer.status_code == 201
    assert answer.json()["webapp"]["command"] == "true"


def test_enabled_unless_told_otherwise(alice: Caller) -> None:
    wanted = body()
    del wanted["enabled"]
    assert alice.call("POST", json=wanted).json()["enabled"] is True
    found = alice.create("off-alice.example.org", enabled=False)
    assert (found["enabled"], found["state"]["status"]) == (False, "disabled")
    assert found["webapp"]["domains"] == [{"domain_name": "off-alice.example.org", "enabled": False}]


def test_a_custom_domain_has_a_cname(alice: Caller) -> None:
    found = alice.create("WWW.Bücher.test.")
    assert found["domain_name"] == "www.xn--bcher-kva.test"
    assert found["webapp"]["domains"] == [
        {
            "domain_name": "www.xn--bcher-kva.test",
            "enabled": True,
            "cname": f"webapp-{found['id']}.example.org",
        }
    ]
    assert found["logfiles"]["error"] == "/var/log/www.xn--bcher-kva.test.error.log"


def test_a_taken_domain(alice: Caller, bob: Caller) -> None:
    alice.create("www.shop.test")
    for caller in (alice, bob):
        for name in ("www.shop.test", "WWW.shop.TEST", "www.shop.test."):
            answer = caller.call("POST", json=body(name))
            refusal = answer.json()
            assert (refusal.pop("proof", None) is None) == (caller is alice)
            assert (answer.status_code, refusal) == (400, TAKEN)
    assert bob.call("GET").json() == []


def test_a_race_for_a_domain_has_one_winner(alice: Caller, bob: Caller) -> None:
    def create(number: int) -> int:
        return (alice, bob)[number % 2].call("POST", json=body("www.race.test")).status_code

    with ThreadPoolExecutor(16) as pool:
        codes = sorted(pool.map(create, range(16)))
    assert codes == [201] + [400] * 15
    assert len(alice.call("GET").json()) + len(bob.call("GET").json()) == 1


@pytest.mark.parametrize(
    "domain",
    ["bob.example.org", "x-bob.example.org", "xalice.example.org", "alice.alice.example.org", "example.org",
     "www.example.org", "localhost", "alice.localhost", "192.0.2.1", "[::1]", "*.test", "a..b", "-a.test", "test",
     "a_b.test", "alice.example.org:80", "http://alice.example.org/", "a b.test", "x" * 64 + ".test",
     "a." * 126 + "toolong", "", " ", "\u200b", "☃" * 100 + ".test"],
)  # fmt: skip
def test_a_domain_that_is_none_of_yours(alice: Caller, domain: str) -> None:
    answer = alice.call("POST", json=body(domain))
    assert answer.status_code == 400
    assert list(answer.json()) == ["domain_name"]
    [sentence] = answer.json()["domain_name"]
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        ({}, {"domain_name": ["This field is required."], "webapp": ["This field is required."]}),
        (body(webapp={}), {"webapp": {"command": ["This field is required."]}}),
        (body(command=""), {"webapp": {"command": ["This field may not be blank."]}}),
        (body(command=" \t\n"), {"webapp": {"command": ["This field may not be blank."]}}),
        (body(command=None), {"webapp": {"command": ["This field may not be null."]}}),
        (body(command=7), {"webapp": {"command": ["Not a valid string."]}}),
        (body(command=["uvicorn"]), {"webapp": {"command": ["Not a valid string."]}}),
        (body(command="a\0b"), {"webapp": {"command": ["Null characters are not allowed."]}}),
        (body(command="x" * 8193), {"webapp": {"command": ["Ensure this field has no more than 8192 characters."]}}),
        (body(command="☃" * 8192), {"webapp": {"command": ["Ensure the command has no more than 8192 bytes."]}}),
        (body(domain=7), {"domain_name": ["Not a valid string."]}),
        (body(domain=None), {"domain_name": ["This field may not be null."]}),
        (body(enabled="maybe"), {"enabled": ["Must be a valid boolean."]}),
        (body(enabled=1), {"enabled": ["Must be a valid boolean."]}),
        (body(enabled=None), {"enabled": ["This field may not be null."]}),
        (body(enabled={}), {"enabled": ["Must be a valid boolean."]}),
        (body(webapp=None), {"webapp": ["This field may not be null."]}),
        (body(webapp="uvicorn"), {"webapp": {"non_field_errors": [
            "Invalid data. Expected a dictionary, but got str."]}}),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        (None, {"non_field_errors": ["No data provided"]}),
        (7, {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]}),
    ],
)  # fmt: skip
def test_a_body_that_will_not_do(alice: Caller, wanted: object, refusal: object) -> None:
    answer = alice.call("POST", content=json.dumps(wanted), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, refusal)
