"""Bodies in every shape: chunked, too large, not what they say they are. Never a 5xx."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from hereabouts.config import Config
from tests.integration.api.conftest import Caller, wait_for

WANTED = {"domain_name": "alice.example.org", "enabled": True, "webapp": {"command": "uvicorn app:app"}}


def chunks(content: bytes, size: int = 7) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def test_a_chunked_body(alice: Caller) -> None:
    headers = {"Content-Type": "application/json"}
    answer = alice.call("POST", content=chunks(json.dumps(WANTED).encode()), headers=headers)
    assert answer.status_code == 201, answer.text
    answer = alice.call("PATCH", "alice.example.org/", content=chunks(b'{"enabled": false}'), headers=headers)
    assert answer.json()["enabled"] is False


@pytest.mark.parametrize("known", [True, False], ids=["length", "chunked"])
def test_a_body_that_is_too_large(alice: Caller, known: bool) -> None:
    large = b" " * 3_000_000 + b"{}"
    content = large if known else chunks(large, 50_000)
    answer = alice.call("POST", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (413, {"detail": "The body is larger than 1 MB."})
    assert alice.call("GET").status_code == 200


def test_all_that_is_being_sent_has_room_for_so_much(config: Config, alice: Caller, anyone: httpx.Client) -> None:
    """Strangers who send slowly don't use up the memory; what is small gets through all the same."""
    large = json.dumps(WANTED).encode() + b" " * 1_000_000
    headers = {"Content-Type": "application/json"}

    def send() -> httpx.Response:
        return alice.call("POST", content=large, headers=headers)

    with ExitStack() as stack:
        for _ in range(80):
            slow = stack.enter_context(socket.socket(socket.AF_UNIX))
            slow.settimeout(20)
            slow.connect(str(config.control_socket))
            slow.sendall(b"POST /api/v1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b" " * 999_999)
        wait_for(lambda: send().status_code == 503)
        refused = send()
        assert refused.json()["detail"].startswith("So much is being sent at once")
        assert refused.headers["Retry-After"] == "5"
        page = anyone.post("/sign-in/", content=large)
        assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert "Too much at once" in page.text
        assert alice.call("POST", json=WANTED | {"domain_name": "small-alice.example.org"}).status_code == 201
    wait_for(lambda: send().status_code != 503)


def test_a_body_of_just_the_size(alice: Caller) -> None:
    content = json.dumps(WANTED).encode()
    headers = {"Content-Type": "application/json"}
    assert alice.call("POST", content=content + b" " * ((1 << 20) - len(content)), headers=headers).status_code == 201


@pytest.mark.parametrize(
    "content",
    [b"{", b"nonsense", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a": NaN}', b'{"a": 1' + b"0" * 5000 + b"}", b"[" * 100_000,
     b'{"a":' * 50_000, b'{"domain_name": "\xed\xa0\x80"}', json.dumps(WANTED).encode("utf-16"),
     b'{"domain_name": "\\ud800"}', b'{"\\udfff": 1}', b'{"x": [{"y": "\\ud800"}]}'],
)  # fmt: skip
def test_what_is_no_json(alice: Caller, content: bytes) -> None:
    answer = alice.call("POST", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")


def test_an_empty_body(alice: Caller) -> None:
    answer = alice.call("POST", content=b"", headers={"Content-Type": "application/json"})
    assert (answer.status_code, set(answer.json())) == (400, {"domain_name", "webapp"})


def test_the_charset_of_json_is_not_its_own_to_choose(alice: Caller) -> None:
    for number, charset in enumerate(("utf-16", "rot13", "zlib", "base64", "nonsense", "\0", "'")):
        body = WANTED | {"domain_name": f"n{number}-alice.example.org"}
        headers = {"Content-Type": f"application/json; charset={charset}".replace("\0", "")}
        assert alice.call("POST", json=body, headers=headers).status_code == 201


@pytest.mark.parametrize("charset", ["rot13", "zlib", "utf-16", "punycode", "nonsense"])
def test_the_charset_of_a_form(alice: Caller, charset: str) -> None:
    content = b"domain_name=alice.example.org&webapp.command=x%FFy"
    headers = {"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"}
    answer = alice.call("POST", content=content, headers=headers)
    assert (answer.status_code, answer.json()["webapp"]["command"]) == (201, "x\ufffdy")


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "nonsense", "", "a/b/c", "application/json/x"])
def test_another_kind_of_body(alice: Caller, kind: str) -> None:
    answer = alice.call("POST", content=b"x", headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.json()["detail"].startswith("Unsupported media type")


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"--b\r\n", b"--b--", b"--b\r\nContent-Disposition: form-data; name=a\r\n",
     b'--b\r\nContent-Disposition: form-data; name="webapp.command"; filename="x"\r\n\r\nx\r\n--b--\r\n',
     b'--b\r\nContent-Disposition: form-data; name="enabled"\r\nContent-Transfer-Encoding: base64\r\n\r\n*\r\n--b--',
     b'--b\r\nContent-Disposition: form-data; name="\xff"\r\nContent-Type: a/b; charset=rot13\r\n\r\nx\r\n--b--'],
)  # fmt: skip
def test_what_is_no_multipart(alice: Caller, content: bytes) -> None:
    for kind in ("multipart/form-data; boundary=b", "multipart/form-data", "multipart/form-data; boundary=\xe4"):
        answer = alice.call("POST", content=content, headers={"Content-Type": kind.encode("latin-1")})
        assert answer.status_code == 400, answer.text
        assert answer.headers["Content-Type"] == "application/json"


def test_a_form_of_many_fields(alice: Caller) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = alice.call("POST", content=b"&".join(b"a%d=1" % number for number in range(10_000)), headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/json")
