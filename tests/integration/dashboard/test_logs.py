"""Logs: by API in pieces, on a page, live as server-sent events, and as a file."""

from __future__ import annotations

import html
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests

from hereabouts import poke
from hereabouts.sandbox.homes import nginx_ids
from tests.integration.api.conftest import visitor
from tests.integration.dashboard.conftest import PASSWORD, Person
from tests.integration.sites import PLAIN, connections, site
from tests.platform import Account, Platform, wait_for

DOMAIN = "logs-bob.localhost"
PAGE = f"/websites/{DOMAIN}/logs"
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def website(bob: Account) -> Iterator[dict[str, Any]]:
    bob.write("plain.py", PLAIN)
    with site(bob, "/usr/bin/python3 plain.py $DOMAIN_SOCKET", DOMAIN) as made:
        assert made["state"]["status"] == "running", made
        yield made


def append(bob: Account, text: str, kind: str = "error") -> None:
    """Write into a log as the website's processes do."""
    with (bob.platform.config.logs / bob.name / f"{DOMAIN}.{kind}.log").open("a", encoding="utf-8") as log:
        log.write(text)


def piece(account: Account, **query: Any) -> dict[str, Any]:
    answer = account.call("GET", f"{DOMAIN}/logs/error/", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# By API


def test_a_log_in_pieces_by_api(bob: Account, website: dict[str, Any]) -> None:
    append(bob, "one\ntwo\n")
    first = piece(bob)
    assert set(first) == {"text", "offset", "next", "size", "rotated"}
    assert first["text"].endswith("one\ntwo\n")
    assert first["next"] == first["size"]
    append(bob, f"drei ü {HOSTILE}\n")
    then = piece(bob, offset=first["next"])
    assert (then["text"], then["offset"]) == (f"drei ü {HOSTILE}\n", first["next"])
    assert piece(bob, offset=1 << 40)["rotated"] is True


@pytest.mark.parametrize(
    ("query", "field"), [({"offset": "x"}, "offset"), ({"limit": "1"}, "limit"), ({"limit": "9999999"}, "limit")]
)
def test_what_is_asked_for_is_checked(bob: Account, website: dict[str, Any], query: dict[str, str], field: str) -> None:
    answer = bob.call("GET", f"{DOMAIN}/logs/error/", params=query)
    assert (answer.status_code, list(answer.json())) == (400, [field])


@pytest.mark.parametrize("path", ["logs/error/", "logs/error", "logs/server/", "logs/access/", "steps/", "steps"])
def test_only_its_owner_reads_them_by_api(alice: Account, bob: Account, website: dict[str, Any], path: str) -> None:
    assert bob.call("GET", f"{DOMAIN}/{path}").status_code == 200
    assert alice.call("GET", f"{DOMAIN}/{path}").status_code == 404
    url = f"{bob.platform.api}/api/v1/user/bob/websites/{DOMAIN}/{path}"
    assert alice.session.get(url).status_code == 403
    assert requests.get(url, verify=str(bob.platform.config.ca_bundle), timeout=30).status_code == 401


def test_there_are_three_logs(bob: Account, website: dict[str, Any]) -> None:
    for kind in ("other", "errors", "error.log"):
        assert bob.call("GET", f"{DOMAIN}/logs/{kind}/").status_code == 404


def test_the_steps_by_api(bob: Account, website: dict[str, Any]) -> None:
    found = bob.call("GET", f"{DOMAIN}/steps/").json()
    assert found["problem"] is None
    assert found["steps"][0]["name"] == "Waiting for its turn"
    assert {step["status"] for step in found["steps"]} == {"done"}
    assert all(step["seconds"] >= 0 and step["at"].endswith("Z") for step in found["steps"])


def test_the_dns_by_api(bob: Account, website: dict[str, Any]) -> None:
    answer = bob.call("GET", f"{DOMAIN}/domains/{DOMAIN}/dns/")
    assert answer.json() == {"domain_name": DOMAIN, "detail": None, "checked_at": None}
    assert bob.call("POST", f"{DOMAIN}/domains/{DOMAIN}/dns/").status_code == 200
    assert bob.call("POST", f"{DOMAIN}/domains/none.test/dns/").status_code == 404


# Who may ask the supervisor


def test_nginx_may_not_read_logs(running: Platform, website: dict[str, Any]) -> None:
    """It may connect to the supervisor's socket, as control may."""
    uid, gid = nginx_ids(running.config)
    number = website["id"]
    for line in (f"log {number} error 0 1000", f"follow {number} error 0", f"steps {number}", "home mallory 200000"):
        assert _ask_as(running, uid, gid, line).startswith("refused"), line
    assert "steps" in poke.ask(running.config.supervisor_socket, f"steps {number}", seconds=5)
    assert poke.ask(running.config.supervisor_socket, f"log {number} ../../x 0 10", seconds=5) == "what"


def _ask_as(running: Platform, uid: int, gid: int, line: str) -> str:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        answer = poke.ask(running.config.supervisor_socket, line, seconds=5)
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer


# The page


def test_the_page_shows_the_last_lines_as_text(bob_in: Person, bob: Account, website: dict[str, Any]) -> None:
    append(bob, "".join(f"line {number}\n" for number in range(300)) + f"{HOSTILE} <b>bold</b>\n")
    answer = bob_in.get(PAGE)
    assert HOSTILE not in answer.text
    text = html.unescape(answer.text)
    assert HOSTILE in text
    assert "line 299<" in text
    assert "line 100<" not in text
    filtered = html.unescape(bob_in.get(PAGE, params={"q": "LINE 29"}).text)
    assert "line 29<" in filtered
    assert "line 28<" not in filtered
    hostile = bob_in.get(PAGE, params={"q": HOSTILE, "kind": HOSTILE})
    assert (hostile.status_code, HOSTILE in hostile.text) == (200, False)


def test_a_visit_is_in_the_access_log(bob_in: Person, website: dict[str, Any]) -> None:
    bob_in.platform.visit(DOMAIN, "/seen-in-the-log", headers={"User-Agent": HOSTILE})
    wait_for(lambda: "/seen-in-the-log" in bob_in.get(f"{PAGE}?kind=access").text)
    assert HOSTILE not in bob_in.get(f"{PAGE}?kind=access").text


def test_the_whole_log_as_a_file(bob_in: Person, bob: Account, website: dict[str, Any]) -> None:
    append(bob, "ü" * 400_000 + "\nthe end\n")
    answer = bob_in.get(f"{PAGE}/error/download")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{DOMAIN}.error.log"'
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content.decode() == bob.log(DOMAIN, "error")


def test_bytes_that_are_no_characters_are_in_the_file(bob_in: Person, bob: Account, website: dict[str, Any]) -> None:
    log = bob.platform.config.logs / bob.name / f"{DOMAIN}.server.log"
    log.write_bytes(b"\xff\xc3\xa9\xc3" * 200_000 + b"\n")
    assert bob_in.get(f"{PAGE}/server/download").content.decode() == bob.log(DOMAIN, "server")


@pytest.mark.parametrize("then", ["", "another\n" * 115_000], ids=["shorter", "as long"])
def test_a_download_of_a_log_that_is_begun_anew_fails(
    bob_in: Person, bob: Account, website: dict[str, Any], then: str
) -> None:
    """What the reader has not taken yet is not read yet."""
    config = bob.platform.config
    log = config.logs / bob.name / f"{DOMAIN}.server.log"
    os.truncate(log, 0)
    append(bob, "a line\n" * 130_000, "server")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in bob_in.session.cookies)
    with visitor(config, Cookie=cookies) as client, client.stream("GET", f"{PAGE}/server/download") as answer:
        assert answer.status_code == 200
        os.truncate(log, 0)
        append(bob, then, "server")
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


# Live


class Stream:
    """An open stream of server-sent events."""

    def __init__(self, person: Person, path: str, **headers: str) -> None:
        url = person.platform.api + path
        self.answer = person.session.get(url, stream=True, timeout=30, headers=headers, allow_redirects=False)
        assert self.answer.status_code == 200, self.answer.text
        self._lines = self.answer.iter_lines(chunk_size=1)

    def event(self) -> tuple[int, dict[str, Any]]:
        """The next piece, with its id."""
        number = 0
        for line in self._lines:
            if line.startswith(b"id: "):
                number = int(line[4:])
            if line.startswith(b"data: "):
                return number, json.loads(line[6:])
        raise AssertionError("the stream ended")

    def until(self, text: str) -> dict[str, Any]:
        """The first piece that holds the text."""
        while True:
            _, found = self.event()
            if text in found["text"]:
                return found

    def close(self) -> None:
        self.answer.close()


def test_a_line_comes_as_it_is_written(bob_in: Person, bob: Account, website: dict[str, Any]) -> None:
    stream = Stream(bob_in, f"{PAGE}/error/stream")
    assert stream.answer.headers["Content-Type"] == "text/event-stream"
    assert "Content-Encoding" not in stream.answer.headers
    stream.event()
    waits = []
    for number in range(20):
        began = time.monotonic()
        append(bob, f"live {number} {HOSTILE}\n")
        assert stream.until(f"live {number} ")["text"] == f"live {number} {HOSTILE}\n"
        waits.append(time.monotonic() - began)
    assert sorted(waits)[-2] < 1.0, waits
    stream.close()


def test_a_stream_goes_on_where_it_was(bob_in: Person, bob: Account, website: dict[str, Any]) -> None:
    stream = Stream(bob_in, f"{PAGE}/error/stream")
    last, _ = stream.event()
    stream.close()
    append(bob, "written meanwhile\n")
    again = Stream(bob_in, f"{PAGE}/error/stream?offset=0", **{"Last-Event-ID": str(last)})
    number, found = again.event()
    assert (found["text"], found["offset"]) == ("written meanwhile\n", last)
    assert number == found["next"]
    again.close()


def test_a_log_that_is_begun_anew(bob_in: Person, bob: Account, website: dict[str, Any]) -> None:
    stream = Stream(bob_in, f"{PAGE}/server/stream")
    stream.event()
    append(bob, "before\n", "server")
    stream.until("before")
    path = bob.platform.config.logs / bob.name / f"{DOMAIN}.server.log"
    os.truncate(path, 0)
    append(bob, "new\n", "server")
    found = stream.until("new")
    assert found["rotated"] or found["offset"] == 0
    stream.close()


def test_who_is_far_behind_is_told_the_end(bob_in: Person, bob: Account, website: dict[str, Any]) -> None:
    stream = Stream(bob_in, f"{PAGE}/server/stream")
    stream.event()
    append(bob, "x" * 99 + "\n" + ("y" * 99 + "\n") * 8000 + "the end\n", "server")
    skipped = 0
    while True:
        _, found = stream.event()
        skipped += found["skipped"]
        if found["text"].endswith("the end\n"):
            break
    assert skipped > 100_000
    stream.close()


def test_the_stream_ends_when_its_reader_leaves(bob_in: Person, website: dict[str, Any]) -> None:
    running = bob_in.platform
    before = _follows(running)
    streams = [Stream(bob_in, f"{PAGE}/error/stream") for _ in range(5)]
    wait_for(lambda: _follows(running) == before + 5)
    for stream in streams:
        stream.close()
    bob_in.session.close()
    wait_for(lambda: _follows(running) == before)


def test_an_account_has_so_many_streams_at_once(bob_in: Person, website: dict[str, Any]) -> None:
    path, before = f"{PAGE}/error/stream", _follows(bob_in.platform)
    streams = [Stream(bob_in, path) for _ in range(200)]
    wait_for(lambda: _follows(bob_in.platform) == before + 200)
    refused = bob_in.get(path)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert "200 live logs" in refused.text
    for stream in streams:
        stream.close()
    bob_in.session.close()
    wait_for(lambda: _follows(bob_in.platform) == before)
    Stream(bob_in, path).close()


def _follows(running: Platform) -> int:
    """How many connections there are to the supervisor's socket."""
    return connections(running.config.supervisor_socket)


def test_the_stream_ends_with_the_session(bob_in: Person, website: dict[str, Any]) -> None:
    running = bob_in.platform
    here, there = (Person(running).sign_in("bob") for _ in range(2))
    others = Stream(bob_in, f"{PAGE}/error/stream")
    others.event()
    mine = Stream(here, f"{PAGE}/error/stream")
    mine.event()
    here.post("/sign-out/", form="/account/password/")
    assert seconds_left(mine) < 10  # of its life of 60; a second on a machine with nothing else to do
    mine = Stream(there, f"{PAGE}/error/stream")
    mine.event()
    there.post("/account/sessions/", {"session": "others"})
    assert there.get(PAGE).status_code == 200
    assert bob_in.get(PAGE).status_code == 302
    assert seconds_left(others) < 10
    there.post("/sign-out/", form="/account/password/")
    assert seconds_left(mine) < 10
    bob_in.sign_in("bob")


def test_the_stream_ends_with_suspension(running: Platform, website: dict[str, Any]) -> None:
    running.cli("user", "add", "oona", "--operator", "--password-stdin", input=f"{PASSWORD}\n")
    try:
        stream = Stream(Person(running).sign_in("oona"), f"{PAGE}/error/stream")
        stream.event()
        running.cli("user", "suspend", "oona")
        assert seconds_left(stream) < 10
    finally:
        running.cli("user", "remove", "oona", "--yes")


def seconds_left(stream: Stream) -> float:
    """How long the stream goes on."""
    began = time.monotonic()
    with pytest.raises(AssertionError, match="the stream ended"):
        while True:
            stream.event()
    return time.monotonic() - began


def test_the_stream_ends_with_the_website(bob_in: Person, bob: Account) -> None:
    domain = "short-bob.localhost"
    bob.write("plain.py", PLAIN)
    bob.create("/usr/bin/python3 plain.py $DOMAIN_SOCKET", domain)
    stream = Stream(bob_in, f"/websites/{domain}/logs/error/stream")
    stream.event()
    bob.delete(domain)
    with pytest.raises(AssertionError, match="the stream ended"):
        stream.event()
        stream.event()
    assert bob_in.get(f"/websites/{domain}/logs/error/stream").status_code == 404
