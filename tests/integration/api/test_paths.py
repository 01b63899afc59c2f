"""Paths: with and without the trailing slash, doubled slashes, what nothing serves. Never a redirect."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.api.conftest import Caller

DOMAIN = "alice.example.org"


@pytest.mark.parametrize("prefix", ["/api/v1/user/alice/websites", "//api/v1//user/alice///websites"])
@pytest.mark.parametrize("end", ["", "/", "//"])
def test_every_way_to_end_a_path(alice: Caller, prefix: str, end: str) -> None:
    def call(method: str, path: str, **kwargs: object) -> httpx.Response:
        url = httpx.URL(f"http://example.org{prefix}{path}{end}")
        headers = {"Authorization": f"Token {alice.token}"}
        return alice.client.request(method, url, headers=headers, follow_redirects=False, **kwargs)

    body = {"domain_name": DOMAIN, "enabled": True, "webapp": {"command": "true"}}
    codes = [
        call("POST", "", json=body).status_code,
        call("GET", "").status_code,
        call("GET", f"/{DOMAIN}").status_code,
        call("PATCH", f"/{DOMAIN}", json={"enabled": True}).status_code,
        call("POST", f"/{DOMAIN}/reload").status_code,
        call("POST", f"/{DOMAIN}/domains", json={"domain_name": "www.shop.test"}).status_code,
        call("GET", f"/{DOMAIN}/domains").status_code,
        call("PATCH", f"/{DOMAIN}/domains/www.shop.test", json={"redirect": True}).status_code,
        call("DELETE", f"/{DOMAIN}/domains/www.shop.test").status_code,
        call("DELETE", f"/{DOMAIN}").status_code,
    ]
    assert codes == [201, 200, 200, 200, 502, 201, 200, 200, 204, 204]  # 502: no supervisor runs that could reload


def test_the_path_of_a_certificate(alice: Caller) -> None:
    alice.create()
    for path in (f"domains/{DOMAIN}/ssl", f"domains/{DOMAIN}/ssl/", f"domains//{DOMAIN}//ssl//"):
        answer = alice.request("GET", path)
        assert answer.status_code == 404
        assert answer.json()["detail"].startswith(f"There is no certificate for {DOMAIN}")


@pytest.mark.parametrize(
    "path",
    ["/api/", "/api/v2/", "/api/v1/user/", "/api/v1/user/alice/", "/api/v1/user/alice/websites/x.test/reload/more",
     "/api/v1/user/alice/websites/x.test/stop", "/api/v1/user/alice/domains/", "/api/v1/user/alice/domains/x.test/",
     "/api/%00"],
)  # fmt: skip
def test_what_nothing_serves(anyone: httpx.Client, path: str) -> None:
    answer = anyone.get(path)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("path", ["/nothing", "/%ff%fe", "/websites/x.test/nothing", "/operator/nothing"])
def test_what_no_page_serves(anyone: httpx.Client, path: str) -> None:
    answer = anyone.get(path)
    assert answer.status_code == 404
    assert "<title>There is nothing here · Hereabouts</title>" in answer.text
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_another_host(anyone: httpx.Client) -> None:
    for host in ("evil.test", "alice.example.org", "a b", "-"):
        answer = anyone.get("/api/v1/user/alice/websites/", headers={"Host": host})
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/json"
    for host in ("example.org", "www.example.org", "example.org:8443"):
        assert anyone.get("/api/v1/user/alice/websites/", headers={"Host": host}).status_code == 401


def test_the_first_page_asks_to_sign_in(anyone: httpx.Client) -> None:
    answer = anyone.get("/", follow_redirects=True)
    assert answer.status_code == 200
    assert "<title>Sign in · Hereabouts</title>" in answer.text
    assert 'href="/api/docs/"' in answer.text
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
