"""What the audit log tells of domains and certificates: by API and by page, of whom and from where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hereabouts.config import Config
from tests.authority import Authority as Signer
from tests.integration.accounts.conftest import Browser
from tests.integration.api.conftest import Authority, Caller, Supervisor

SHOP, OTHER = "www.shop.test", "shop.test"
ORDER = {"cert_type": "letsencrypt-auto-renew"}
API, PAGE = "192.0.2.1", "198.51.100.77"


@pytest.fixture
def told(alice: Caller, supervisor: Supervisor, authority: Authority) -> Callable[[], list[str]]:
    """What was noted since alice's website with a custom domain was made."""
    from hereabouts.control.models import AuditEntry

    alice.create(SHOP)
    last = AuditEntry.objects.order_by("pk").last()
    assert last is not None
    start = last.pk

    def read() -> list[str]:
        return [
            " ".join(filter(None, (e.actor, e.action, e.target, e.detail and f"({e.detail})", e.way, e.address)))
            for e in AuditEntry.objects.filter(pk__gt=start).order_by("pk")
        ]

    return read


@pytest.fixture
def uploaded() -> dict[str, str]:
    cert, key = Signer().sign(SHOP)
    return {"cert": cert, "private_key": key}


def lines(way: str, address: str) -> list[str]:
    return [
        f"alice {what} {way} {address}"
        for what in (
            f"domain.add {OTHER} (website {SHOP})", f"domain.change {OTHER} (redirects)",
            f"certificate.order {SHOP}", f"certificate.upload {SHOP}", f"certificate.remove {SHOP}",
            f"website.change {SHOP} (force_https)", f"domain.change {OTHER} (the main one)",
            f"domain.change {SHOP} (the main one)", f"domain.remove {OTHER}",
        )
    ]  # fmt: skip


def test_by_api(alice: Caller, authority: Authority, told: Callable[[], list[str]], uploaded: dict[str, str]) -> None:
    def done(answer: httpx.Response) -> None:
        assert answer.status_code < 300, answer.text

    done(alice.call("POST", f"{SHOP}/domains/", json={"domain_name": OTHER}))
    for _ in range(2):  # the second changes nothing
        done(alice.call("PATCH", f"{SHOP}/domains/{OTHER}/", json={"redirect": True}))
    failed: dict[str, Any] = {"status": "failed", "kind": "dns", "problem": "It leads elsewhere."}
    before, authority.issue = authority.issue, lambda name: failed
    assert alice.ssl("POST", SHOP, json=ORDER).status_code == 400
    authority.issue = before
    done(alice.ssl("POST", SHOP, json=ORDER))
    done(alice.ssl("POST", SHOP, json=uploaded))
    done(alice.ssl("DELETE", SHOP))
    done(alice.call("PATCH", f"{SHOP}/", json={"webapp": {"force_https": True, "hsts_seconds": 0}}))
    for name in (OTHER, OTHER, SHOP):
        done(alice.call("PATCH", f"{SHOP}/domains/{name}/", json={"main": True}))
    done(alice.call("DELETE", f"{SHOP}/domains/{OTHER}/"))
    assert alice.call("DELETE", f"{SHOP}/domains/{SHOP}/").status_code == 400
    assert told() == lines("api", API)


def test_by_page(config: Config, alice: Caller, told: Callable[[], list[str]], uploaded: dict[str, str]) -> None:
    browser = Browser(config, address=PAGE)
    assert browser.sign_in(alice.name, "correct horse battery").status_code == 302

    def do(deed: str, **fields: str) -> None:
        answer = browser.post(f"/websites/{SHOP}/domains/", do=deed, **fields)
        assert answer.status_code == 303, answer.text

    do("add", domain_name=OTHER)
    do("redirect", domain=OTHER, redirect="yes")
    do("redirect", domain=OTHER, redirect="yes")
    do("order", domain=SHOP)
    do("upload", domain=SHOP, **uploaded)
    do("delete_certificate", domain=SHOP)
    do("https", force_https="yes", hsts_seconds="0")
    do("main", domain=OTHER)
    do("main", domain=SHOP)
    do("remove", domain=OTHER)
    assert told() == [f"alice session.sign-in alice dashboard {PAGE}", *lines("dashboard", PAGE)]


def test_a_domain_that_is_taken_over(bob: Caller, authority: Authority, told: Callable[[], list[str]]) -> None:
    body = {"domain_name": SHOP, "enabled": True, "webapp": {"command": "true"}}
    refused = bob.call("POST", json=body)
    assert refused.status_code == 400
    proof = refused.json()["proof"]
    authority.records[SHOP] = [proof["value"]]
    assert bob.call("POST", json=body).status_code == 201
    assert told() == [
        f"bob domain.take {SHOP} (from the account alice) api {API}",
        f"bob website.create {SHOP} api {API}",
    ]
