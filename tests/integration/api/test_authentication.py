"""Who may call: Alice, Bob and the operator on each other's URLs, with good tokens and bad ones."""

from __future__ import annotations

import dataclasses
from types import ModuleType

import httpx
import pytest

from tests.integration.api.conftest import Authority, Caller, Supervisor

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
    services: ModuleType, alice: Caller, bob: Caller, operator: Caller, method: str, path: str
) -> None:
    sandbox = dataclasses.replace(operator, token=services.environment_token(services.find_account("operator")))
    alice.create()
    answers = [
        bob.request(method, path, user="alice", json={}),
        bob.request(method, path, user="nobody", json={}),
        bob.request(method, path, user="not a name", json={}),
        sandbox.request(method, path, user="alice", json={}),  # in which any website of the operator's runs
        sandbox.request(method, path, user="nobody", json={}),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(403, answers[0].text)}
    assert answers[0].json() == FORBIDDEN
    assert len(alice.call("GET").json()) == 1


@every_endpoint
def test_an_operator_is_told_that_there_is_no_such_user(operator: Caller, method: str, path: str) -> None:
    for name in ("nobody", "not a name", "%00"):
        answer = operator.request(method, path, user=name, json={})
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


def test_an_operator_acts_on_anybodys_websites(
    services: ModuleType, alice: Caller, operator: Caller, authority: Authority, supervisor: Supervisor
) -> None:
    from hereabouts.control.models import AuditEntry

    site = "alice.example.org"
    made = operator.call("POST", user="Alice", json={"domain_name": site, "webapp": {"command": "true"}})
    assert (made.status_code, made.json()["user"]) == (201, "alice")
    foreign = operator.call(
        "POST", user="alice", json={"domain_name": "operator.example.org", "webapp": {"command": "x"}}
    )
    assert foreign.status_code == 400  # which is no name of alice's
    assert [each["domain_name"] for each in operator.call("GET", user="alice").json()] == [site]
    assert operator.call("GET").json() == []
    assert operator.call("GET", f"{site}/").status_code == 404
    for code, method, path, body in (
        (200, "GET", _SITE, {}), (200, "PATCH", _SITE, {"webapp": {"command": "false"}}),
        (201, "POST", _SITE + "domains/", {"domain_name": "www.shop.test"}),
        (200, "PATCH", _SITE + "domains/www.shop.test/", {"redirect": True}),
        (200, "POST", "domains/www.shop.test/ssl/", {"cert_type": "letsencrypt-auto-renew"}),
        (200, "GET", _SITE + "metrics/", {}), (204, "DELETE", _SITE + "domains/www.shop.test/", {}),
    ):  # fmt: skip
        answer = operator.request(method, path, user="alice", json=body)
        assert answer.status_code == code, (path, answer.text)
    account = services.find_account("alice")
    type(account).objects.filter(pk=account.pk).update(is_active=False)
    refused = operator.call("PATCH", f"{site}/", user="alice", json={"enabled": True})
    type(account).objects.filter(pk=account.pk).update(is_active=True)
    assert refused.status_code == 403
    assert refused.json()["detail"].startswith("The account alice is suspended.")
    assert operator.call("DELETE", f"{site}/", user="alice").status_code == 204
    noted = AuditEntry.objects.order_by("-pk")[:5]
    assert {(entry.actor, entry.way) for entry in noted} == {("operator", "api")}
    assert (noted[0].action, noted[0].target) == ("website.delete", site)


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
