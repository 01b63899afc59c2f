"""GET websites/{domain}/steps/, logs/{kind}/ and domains/{name}/dns/ where the other processes are away."""

from __future__ import annotations

import pytest

from tests.integration.api.conftest import Authority, Caller


@pytest.mark.parametrize(
    ("path", "what"), [("steps/", "the steps of the start"), ("logs/error/", "what is in the log")]
)
def test_no_supervisor(alice: Caller, path: str, what: str) -> None:
    alice.create()
    answer = alice.call("GET", f"alice.example.org/{path}")
    detail = (
        f"The supervisor is not answering, so {what} can't be told now. Websites keep running; try again in a moment."
    )
    assert (answer.status_code, answer.json()) == (503, {"detail": detail})
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("path", ["steps/", "logs/error/", "domains/bob.example.org/dns/"])
def test_anothers_is_not_there(alice: Caller, bob: Caller, path: str) -> None:
    bob.create()
    assert alice.call("GET", f"bob.example.org/{path}").status_code == 404
    assert alice.call("GET", f"bob.example.org/{path}", user="bob").status_code == 403


def test_a_domain_is_looked_up(alice: Caller, authority: Authority) -> None:
    alice.create("www.alice.test")
    path = "www.alice.test/domains/www.alice.test/dns/"
    assert alice.call("GET", path).json() == {"domain_name": "www.alice.test", "detail": None, "checked_at": None}
    before = len(authority.asked)
    assert alice.call("POST", path).status_code == 200
    assert authority.asked[before:] == [["look", "www.alice.test"]]


def test_a_name_of_the_platform_needs_no_look(alice: Caller, authority: Authority) -> None:
    alice.create()
    before = len(authority.asked)
    answer = alice.call("POST", "alice.example.org/domains/alice.example.org/dns/")
    assert answer.json() == {"domain_name": "alice.example.org", "detail": None, "checked_at": None}
    assert len(authority.asked) == before
