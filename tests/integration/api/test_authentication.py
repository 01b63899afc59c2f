"""Who may call: Alice, Bob and the operator on each other's URLs, with good tokens and bad ones."""

from __future__ import annotations

from types import ModuleType

import httpx
import pytest

from tests.integration.api.conftest import Caller

_SITE, _SSL = "websites/alice.example.org/", "domains/alice.example.org/ssl/"
ENDPOINTS = [
    ("GET", "websites/"), ("POST", "websites/"), ("GET", _SITE), ("PATCH", _SITE), ("DELETE", _SITE),
    ("POST", _SITE + "reload/"), ("GET", _SITE + "metrics/"), ("GET", _SITE + "domains/"), ("POST", _SITE + "domains/"),
    ("GET", _SITE + "domains/www.shop.test/"), ("PATCH", _SITE + "domains/www.shop.test/"),
    ("DELETE", _SITE + "domains/www.shop.test/"), ("GET", _SSL), ("POST", _SSL), ("DELETE", _SSL),
]  # fmt: skip
NO_TOKEN = {"detail": "Authentication credentials were not provided."}
BAD_TOKEN = {"detail": "Invalid token."}
FORBIDDEN = {"detail": "You do not have permission to perform this action."}

every_endpoint = pytest.mark.parametrize(("method", "path"), ENDPOINTS)


@every_endpoint
def test_no_token(anyone: httpx.Client, alice: Caller, method: str, path: str) -> None:
    alice.create()
    answer = anyone.request(method, f"/api/v1/user/alice/{path}", json={"nonsense": 1})
    assert (answer.status_code, answer.json()) == (401, NO_TOKEN)
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert len(alice.call("GET").json()) == 1


@every_endpoint
@pytest.mark.parametrize(
    "credentials",
    ["Token " + "0" * 40, "Token", "Token a b", "Token \xff\xfe", "token x", "Token " + "f" * 10_000],
    ids=["unknown", "none", "two words", "latin", "short", "long"],
)
def test_wrong_token(anyone: httpx.Client, alice: Caller, method: str, path: str, credentials: str) -> None:
    headers = {"Authorization": credentials.encode("latin-1")}
    answer = anyone.request(method, f"/api/v1/user/alice/{path}", headers=headers)
    assert (answer.status_code, answer.json()) == (401, BAD_TOKEN)
    assert answer.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("scheme", ["Basic YWxpY2U6eA==", "Bearer 0123456789"])
def test_another_scheme_is_no_token(anyone: httpx.Client, alice: Caller, scheme: str) -> None:
    answer = anyone.get("/api/v1/user/alice/websites/", headers={"Authorization": scheme})
    assert (answer.status_code, answer.json()) == (401, NO_TOKEN)


@every_endpoint
def test_others_and_unknown_users_answer_alike(
    alice: Caller, bob: Caller, operator: Caller, method: str, path: str
) -> None:
    alice.create()
    answers = [
        bob.request(method, path, user="alice", json={}),
        bob.request(method, path, user="nobody", json={}),
        bob.request(method, path, user="not a name", json={}),
        operator.request(method, path, user="alice", json={}),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(403, answers[0].text)}
    assert answers[0].json() == FORBIDDEN
    assert len(alice.call("GET").json()) == 1


def test_user_names_compare_in_any_case(alice: Caller) -> None:
    alice.create()
    answer = alice.call("GET", user="ALiCE")
    assert answer.status_code == 200
    assert answer.json()[0]["user"] == "alice"


def test_who_calls_comes_before_what_is_called(anyone: httpx.Client, alice: Caller, bob: Caller) -> None:
    assert anyone.put("/api/v1/user/alice/websites/").status_code == 401
    assert bob.call("PUT", user="alice").status_code == 403
    answer = alice.call("PUT")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert answer.json() == {"detail": 'Method "PUT" not allowed.'}


def test_a_new_token_ends_the_old_one(services: ModuleType, anyone: httpx.Client) -> None:
    account = services.create_account("carol", None)
    old = Caller("carol", services.create_token(account), anyone)
    assert old.call("GET").status_code == 200
    new = Caller("carol", services.create_token(account), anyone)
    assert (old.call("GET").status_code, new.call("GET").status_code) == (401, 200)
    services.revoke_token(account)
    assert new.call("GET").json() == BAD_TOKEN
    services.remove_account(account)


def test_the_token_of_sandboxes(services: ModuleType, anyone: httpx.Client, alice: Caller) -> None:
    account = services.create_account("dave", None)
    inside = Caller("dave", services.environment_token(account), anyone)
    assert inside.call("GET").json() == []
    assert inside.call("GET", user="alice").json() == FORBIDDEN
    services.create_token(account)
    assert inside.call("GET").json() == BAD_TOKEN
    services.remove_account(account)


def test_a_name_used_again_does_not_know_its_former_owner(services: ModuleType, anyone: httpx.Client) -> None:
    former = services.create_account("erin", None)
    inside = Caller("erin", services.environment_token(former), anyone)
    services.remove_account(former)
    assert inside.call("GET").json() == BAD_TOKEN
    again = services.create_account("erin", None)
    assert again.uid == former.uid
    assert inside.call("GET").json() == BAD_TOKEN
    services.remove_account(again)


def test_an_inactive_account(services: ModuleType, anyone: httpx.Client) -> None:
    account = services.create_account("frank", None)
    caller = Caller("frank", services.create_token(account), anyone)
    account.is_active = False
    account.save()
    assert caller.call("GET").json() == BAD_TOKEN
    services.remove_account(account)
