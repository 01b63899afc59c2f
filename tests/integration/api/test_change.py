"""PATCH websites/{domain}/"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.conftest import Caller, Supervisor, see

DOMAIN = "alice.example.org"


def change(alice: Caller, wanted: object, **kwargs: Any) -> dict[str, Any]:
    answer = alice.call("PATCH", f"{DOMAIN}/", json=wanted, **kwargs)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["id"] == alice.call("GET", f"{DOMAIN}/").json()["id"]
    return found


def test_off_and_on_is_a_new_process(alice: Caller, supervisor: Supervisor) -> None:
    number = alice.create()["id"]
    off = change(alice, {"enabled": False})
    assert (off["enabled"], off["state"]["status"]) == (False, "disabled")
    assert off["webapp"]["domains"][0]["enabled"] is False
    on = change(alice, {"enabled": True})
    assert (on["enabled"], on["state"]["status"]) == (True, "starting")
    assert supervisor.asked == [(number, 1), (number, 1), (number, 2)]


def test_what_is_so_already_is_left_alone(alice: Caller, supervisor: Supervisor) -> None:
    number = alice.create()["id"]
    change(alice, {"enabled": True})
    change(alice, {"webapp": {"command": " uvicorn app:app "}})
    change(alice, {"enabled": True, "webapp": {"command": "uvicorn app:app"}})
    change(alice, {})
    change(alice, {"webapp": {}})
    assert set(supervisor.asked) == {(number, 1)}


def test_another_command(alice: Caller, supervisor: Supervisor) -> None:
    number = alice.create()["id"]

    def settle(website: int, generation: int, seconds: float) -> str:
        see(website, serving=generation)
        return "done"

    supervisor.settle = settle
    found = change(alice, {"webapp": {"command": "hypercorn app:app"}})
    assert (found["webapp"]["command"], found["state"]["status"]) == ("hypercorn app:app", "running")
    assert supervisor.asked[-1] == (number, 2)


def test_both_at_once(alice: Caller) -> None:
    alice.create(enabled=False)
    found = change(alice, {"enabled": True, "webapp": {"command": "granian app:app"}})
    assert (found["enabled"], found["webapp"]["command"]) == (True, "granian app:app")


def test_a_form_leaves_what_it_does_not_name(alice: Caller) -> None:
    alice.create()
    answer = alice.call("PATCH", f"{DOMAIN}/", data={"webapp.command": "hypercorn app:app"})
    assert (answer.status_code, answer.json()["enabled"]) == (200, True)
    assert answer.json()["webapp"]["command"] == "hypercorn app:app"
    answer = alice.call("PATCH", f"{DOMAIN}/", data={"enabled": "False"})
    assert (answer.json()["enabled"], answer.json()["webapp"]["command"]) == (False, "hypercorn app:app")


def test_an_empty_command_is_empty_in_a_form_too(alice: Caller) -> None:
    alice.create()
    answer = alice.call("PATCH", f"{DOMAIN}/", data={"webapp.command": ""})
    assert (answer.status_code, answer.json()) == (400, {"webapp": {"command": ["This field may not be blank."]}})


def test_the_domain_stays(alice: Caller) -> None:
    alice.create()
    found = change(alice, {"domain_name": "www.other.test", "id": 7, "user": "bob"})
    assert (found["domain_name"], found["user"]) == (DOMAIN, "alice")


def test_without_a_supervisor_the_change_is_kept(alice: Caller) -> None:
    see(alice.create()["id"])
    detail = change(alice, {"enabled": False})["state"]["detail"]
    assert detail == "The supervisor is not answering; the change will be carried out once it runs."


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        ({"enabled": "maybe"}, {"enabled": ["Must be a valid boolean."]}),
        ({"enabled": None}, {"enabled": ["This field may not be null."]}),
        ({"webapp": {"command": ""}}, {"webapp": {"command": ["This field may not be blank."]}}),
        ({"webapp": {"command": "a\0"}}, {"webapp": {"command": ["Null characters are not allowed."]}}),
        ({"webapp": []}, {"webapp": {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}}),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
    ],
)
def test_a_change_that_will_not_do(alice: Caller, wanted: object, refusal: object) -> None:
    before = alice.create()
    answer = alice.call("PATCH", f"{DOMAIN}/", json=wanted)
    assert (answer.status_code, answer.json()) == (400, refusal)
    after = alice.call("GET", f"{DOMAIN}/").json()
    assert (after["enabled"], after["webapp"]) == (before["enabled"], before["webapp"])


def test_a_refused_command_changes_nothing_else(alice: Caller) -> None:
    alice.create()
    answer = alice.call("PATCH", f"{DOMAIN}/", json={"enabled": False, "webapp": {"command": " "}})
    assert answer.status_code == 400
    assert alice.call("GET", f"{DOMAIN}/").json()["enabled"] is True
