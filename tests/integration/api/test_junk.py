"""Junk at every endpoint: always an answer that is the caller's fault, never one that is ours."""

from __future__ import annotations

from urllib.parse import quote

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.api.conftest import Caller

PROFILE = settings.get_profile("api")
TEXT = st.text(st.characters(codec="utf-8"), max_size=300) | st.sampled_from(
    ["alice.example.org", "x.test", "bücher.test", "", "\0", "uvicorn app:app", "a" * 9000]
)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUE = st.recursive(SCALAR, lambda part: st.lists(part, max_size=4) | st.dictionaries(TEXT, part, max_size=4))
KEYS = (
    st.sampled_from(
        [
            "domain_name",
            "enabled",
            "webapp",
            "command",
            "webapp.command",
            "redirect",
            "cert_type",
            "cert",
            "private_key",
        ]
    )
    | TEXT
)
BODY = VALUE | st.dictionaries(KEYS, VALUE | st.dictionaries(KEYS, VALUE, max_size=3), max_size=6)
METHOD = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "HEAD"])
HEADER = st.binary(max_size=60).map(lambda value: bytes(byte for byte in value if byte >= 32 and byte != 127).strip())


def check(answer: httpx.Response, *, reload: bool = False, order: bool = False) -> None:
    allowed = {502} if reload else {503} if order else set()  # no supervisor, no authority
    assert answer.status_code < 500 or answer.status_code in allowed, answer.text
    if answer.content:
        assert answer.headers["Content-Type"] == "application/json"
        answer.json()


@settings(PROFILE, max_examples=300)
@given(body=BODY)
def test_json(alice: Caller, body: object) -> None:
    check(alice.call("POST", json=body))
    check(alice.call("PATCH", "alice.example.org/", json=body))
    check(alice.call("POST", "alice.example.org/domains/", json=body))
    check(alice.call("PATCH", "alice.example.org/domains/x.test/", json=body))
    check(alice.ssl("POST", "alice.example.org", json=body), order=True)


@settings(PROFILE)
@given(fields=st.dictionaries(KEYS, TEXT, max_size=6), multipart=st.booleans())
def test_forms(alice: Caller, fields: dict[str, str], multipart: bool) -> None:
    kwargs = {"files": {name: (None, value) for name, value in fields.items()}} if multipart else {"data": fields}
    check(alice.call("POST", **kwargs))
    check(alice.call("PATCH", "alice.example.org/", **kwargs))
    check(alice.call("POST", "alice.example.org/domains/", **kwargs))
    check(alice.ssl("POST", "alice.example.org", **kwargs), order=True)


@settings(PROFILE)
@given(content=st.binary(max_size=500), kind=HEADER | st.sampled_from(
    [b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=b"]
))  # fmt: skip
def test_bytes(alice: Caller, content: bytes, kind: bytes) -> None:
    for path in ("", "alice.example.org/reload/"):
        answer = alice.call("POST", path, content=content, headers={"Content-Type": kind})
        check(answer, reload=bool(path))


@settings(PROFILE, max_examples=300)
@given(method=METHOD, username=TEXT | st.just("alice"), domain=TEXT, reload=st.booleans())
def test_paths(alice: Caller, method: str, username: str, domain: str, reload: bool) -> None:
    path = f"{quote(domain, safe='')}/{'reload/' if reload else ''}"
    user = quote(username, safe="") or "-"
    check(alice.call(method, path, user=user), reload=reload)
    check(alice.call(method, f"alice.example.org/domains/{quote(domain, safe='')}/", user=user))
    check(alice.ssl(method, quote(domain, safe=""), user=user))


@settings(PROFILE)
@given(name=st.binary(max_size=80))
def test_raw_paths(alice: Caller, name: bytes) -> None:
    check(alice.call("GET", "".join(f"%{byte:02X}" for byte in name) + "/"))


@settings(PROFILE)
@given(token=HEADER, host=HEADER, accept=HEADER)
def test_headers(anyone: httpx.Client, token: bytes, host: bytes, accept: bytes) -> None:
    credentials = b" ".join([b"Token", token]).strip()
    headers = {"Authorization": credentials, "Accept": accept, "X-Forwarded-Proto": accept, "X-Real-IP": host}
    check(anyone.get("/api/v1/user/alice/websites/", headers=headers))
