"""DELETE websites/{domain}/"""

from __future__ import annotations

from tests.integration.api.conftest import Caller, Supervisor, see


def test_gone(alice: Caller, supervisor: Supervisor) -> None:
    number = alice.create()["id"]
    see(number)
    kept = alice.create("www.alice.test")["id"]
    answer = alice.call("DELETE", "alice.example.org/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert supervisor.asked[-1] == (number, 1)
    assert [website["id"] for website in alice.call("GET").json()] == [kept]
    again = alice.call("DELETE", "alice.example.org/")
    assert (again.status_code, again.json()) == (404, {"detail": "Not found."})


def test_without_a_supervisor(alice: Caller) -> None:
    alice.create()
    assert alice.call("DELETE", "alice.example.org").status_code == 204
    assert alice.call("GET").json() == []


def test_the_name_is_free_again(alice: Caller, bob: Caller) -> None:
    alice.create("www.shop.test")
    alice.call("DELETE", "www.shop.test/")
    assert bob.create("www.shop.test")["user"] == "bob"
