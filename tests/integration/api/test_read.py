"""GET websites/ and GET websites/{domain}/"""

from __future__ import annotations

import httpx
import pytest

from tests.integration.api.conftest import Caller, see

NOT_FOUND = {"detail": "Not found."}


def test_nothing_yet(alice: Caller) -> None:
    answer = alice.call("GET")
    assert (answer.status_code, answer.json()) == (200, [])


def test_own_websites_only(alice: Caller, bob: Caller, operator: Caller) -> None:
    ours = [alice.create(), alice.create("www.alice.test")]
    theirs = bob.create()
    assert [website["id"] for website in alice.call("GET").json()] == [website["id"] for website in ours]
    assert [website["id"] for website in bob.call("GET").json()] == [theirs["id"]]
    assert operator.call("GET").json() == []


def test_one_website_is_the_same_alone_and_in_the_list(alice: Caller) -> None:
    see(alice.create()["id"])
    answer = alice.call("GET", "alice.example.org/")
    assert answer.status_code == 200
    assert alice.call("GET").json() == [answer.json()]


@pytest.mark.parametrize(
    "name", ["www.xn--bcher-kva.test", "www.bücher.test", "WWW.XN--BCHER-KVA.TEST", "www.bücher.test."]
)
def test_every_way_to_write_the_domain(alice: Caller, name: str) -> None:
    number = alice.create("www.bücher.test")["id"]
    answer = alice.call("GET", f"{name}/")
    assert (answer.status_code, answer.json()["id"]) == (200, number)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "POST"])
@pytest.mark.parametrize("name", ["none.test", "bob.example.org", "*", "a b", "%00", "%ff", "☃", "a" * 3000])
def test_no_such_website_of_yours(alice: Caller, bob: Caller, method: str, name: str) -> None:
    bob.create()
    path = f"{name}/reload/" if method == "POST" else f"{name}/"
    answer = alice.call(method, path, json={"enabled": False})
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    assert bob.call("GET", "bob.example.org/").json()["enabled"] is True


@pytest.mark.parametrize(
    ("status", "detail"),
    [("running", None), ("running", "The last reload failed: exit code 1"), ("sleeping", None),
     ("restarting", "Exit code 1."), ("crashed", "Exit code 1."), ("stopped", None), ("starting", "Not yet.")],
)  # fmt: skip
def test_the_state_is_what_was_seen(alice: Caller, status: str, detail: str | None) -> None:
    see(alice.create()["id"], status, detail=detail, since=1_767_323_045.9)
    state = alice.call("GET", "alice.example.org/").json()["state"]
    assert state == {"status": status, "since": "2026-01-02T03:04:05Z", "detail": detail}


def test_the_state_of_what_was_not_seen_yet(alice: Caller) -> None:
    alice.create()
    state = alice.call("GET", "alice.example.org/").json()["state"]
    assert (state["status"], state["detail"]) == ("starting", None)


def test_what_was_seen_before_it_was_switched(alice: Caller) -> None:
    number = alice.create(enabled=False)["id"]
    see(number, "running")
    assert alice.call("GET", "alice.example.org/").json()["state"]["status"] == "disabled"
    alice.call("PATCH", "alice.example.org/", json={"enabled": True})
    see(number, "disabled")
    assert alice.call("GET", "alice.example.org/").json()["state"]["status"] == "starting"


def test_head(alice: Caller) -> None:
    answer = alice.call("HEAD")
    assert (answer.status_code, answer.content) == (200, b"")


def test_it_is_json_whatever_is_accepted(alice: Caller, anyone: httpx.Client) -> None:
    for accept in ("text/html", "image/png", "nonsense", "application/xml;q=x"):
        answer = alice.call("GET", "?format=xml", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
