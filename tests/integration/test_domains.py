"""The names of a website: aliases that serve or redirect, names that come, go and change hands, HTTPS by force."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hereabouts import files
from hereabouts.core.certificate import file_name
from tests.integration.names import alias, browse, change, raw, settle, stored
from tests.integration.sites import ANSWERS, attended, newer, sandboxes, server_pid, site, uvicorn
from tests.platform import Account, Platform, wait_for

DOMAIN = "names-alice.localhost"
OTHER = "www.names.example"
THIRD = "names.example"


@pytest.fixture
def website(alice: Account) -> Iterator[dict[str, Any]]:
    alice.write("named.py", ANSWERS)
    with site(alice, uvicorn("named"), DOMAIN) as made:
        yield made


def _files(running: Platform, name: str) -> list[Path]:
    config = running.config
    found = [config.routes / name, *(config.certificates / kind / file_name(name) for kind in ("local", "own"))]
    return [path for path in found if path.is_symlink() or path.exists()]


def _refused(running: Platform, name: str) -> bool:
    try:
        browse(running, name)
    except httpx.ConnectError as error:
        return "alert handshake failure" in str(error)
    return False


def test_an_alias_serves_like_the_main_name(running: Platform, website: dict[str, Any], alice: Account) -> None:
    assert _refused(running, OTHER)
    assert running.visit(OTHER).status_code == 404
    change(running, website, alias(OTHER))
    plain, secure = running.visit(OTHER, "/plain"), browse(running, OTHER, "/secure")
    assert plain.json()["pid"] == secure.json()["pid"] == running.visit(DOMAIN).json()["pid"]
    assert plain.json()["headers"]["host"] == f"{OTHER}:{running.http}"
    assert secure.json()["headers"]["x-forwarded-proto"] == "https"
    wait_for(lambda: alice.log(DOMAIN, "access").count("\n") == 3, what="all is in the log of the main name")
    assert len(sandboxes(running, website)) == 1, "another name needs no other process"


def test_a_name_whose_last_character_is_a_digit_is_a_name(running: Platform, website: dict[str, Any]) -> None:
    change(running, website, alias("names.lan1"))
    assert browse(running, "names.lan1", "/secure").status_code == 200


def test_a_visitor_of_an_alias_is_held_while_the_site_starts(running: Platform, alice: Account) -> None:
    alice.write("slow_named.py", "import time\ntime.sleep(1.5)\n" + ANSWERS)
    with site(alice, uvicorn("slow_named"), DOMAIN) as website:
        change(running, website, alias(OTHER))
        os.kill(server_pid(running, website), signal.SIGKILL)
        assert running.visit(OTHER).status_code == 200


@pytest.mark.parametrize("path", ["/", "/a%20b//c?d=%0d%0aX:y&e=/../f", "//evil.example/x", "/?", "/a/%2e%2e/é?ü"])
def test_a_redirecting_alias_keeps_scheme_path_and_query(running: Platform, website: dict[str, Any], path: str) -> None:
    change(running, website, alias(OTHER, redirects=True))
    head = raw(running, f"GET {path} HTTP/1.1\r\nHost: {OTHER}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = head.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 308 ")
    assert f"\r\nLocation: http://{DOMAIN}:{running.http}{path}\r\n".encode() in head + b"\r\n"
    assert body == b""
    answer = browse(running, OTHER, "/a?b", "POST", content=b"x" * (1 << 20))
    assert (answer.status_code, answer.headers["Location"]) == (308, f"https://{DOMAIN}:{running.https}/a?b")


def test_an_alias_may_begin_and_cease_to_redirect(running: Platform, website: dict[str, Any]) -> None:
    change(running, website, alias(OTHER))
    pid = running.visit(OTHER).json()["pid"]
    change(running, website, "website.domains.filter(is_main=False).update(redirects=True)")
    assert running.visit(OTHER).status_code == 308
    change(running, website, "website.domains.filter(is_main=False).update(redirects=False)")
    assert running.visit(OTHER).json()["pid"] == pid


def test_a_name_that_is_removed_is_refused(running: Platform, website: dict[str, Any]) -> None:
    change(running, website, alias(OTHER))
    assert len(_files(running, OTHER)) == 2
    change(running, website, "website.domains.filter(is_main=False).delete()")
    assert _files(running, OTHER) == []
    assert running.visit(OTHER).status_code == 404
    assert _refused(running, OTHER)
    assert browse(running, DOMAIN).status_code == 200


def test_the_names_of_a_deleted_website_are_refused(running: Platform, alice: Account) -> None:
    with site(alice, uvicorn("named"), DOMAIN) as website:
        change(running, website, alias(OTHER) + "; " + alias(THIRD, redirects=True))
        assert all(_files(running, name) for name in (DOMAIN, OTHER, THIRD))
        alice.delete(DOMAIN)
        for name in (DOMAIN, OTHER, THIRD):
            wait_for(lambda name=name: not _files(running, name), what=f"nothing is left of {name}")
            assert _refused(running, name)


@pytest.mark.parametrize("first", ["former", "new"])
def test_a_name_changes_hands_without_being_nobodys(
    running: Platform, website: dict[str, Any], alice: Account, first: str
) -> None:
    alice.write("heir.py", newer(ANSWERS))
    with site(alice, uvicorn("heir"), "heir-alice.localhost") as heir:
        change(running, website, alias(OTHER))
        seen: list[tuple[float, int, str]] = []
        end = threading.Event()

        def visit() -> None:
            while not end.is_set():
                answer = running.visit(OTHER)
                told = answer.json()["version"] if answer.status_code == 200 else ""
                seen.append((time.monotonic(), answer.status_code, told))

        visitor = threading.Thread(target=visit)
        visitor.start()
        stored(running, f"Domain.objects.filter(name={OTHER!r}).update(website_id={heir['id']})")
        settle(running, website if first == "former" else heir)
        settled = time.monotonic()
        wait_for(lambda: seen and seen[-1][0] > settled + 0.5)
        end.set()
        visitor.join()
        assert {status for _, status, _ in seen} == {200}
        assert {told for moment, _, told in seen if moment > settled + 0.2} == {"the newer one"}
        alice.delete(DOMAIN)
        wait_for(lambda: not _files(running, DOMAIN))
        assert running.visit(OTHER).json()["version"] == "the newer one"
        assert browse(running, OTHER).status_code == 200


def test_another_main_name_needs_no_other_process(running: Platform, website: dict[str, Any], alice: Account) -> None:
    change(running, website, alias(OTHER))
    pid = server_pid(running, website)
    running.visit(DOMAIN, "/say?before")
    wait_for(lambda: "said before" in alice.log(DOMAIN, "server"))
    change(
        running, website,
        f"website.domains.filter(is_main=True).delete(); website.domains.filter(name={OTHER!r}).update(is_main=True)",
    )  # fmt: skip
    try:
        assert server_pid(running, website) == pid
        assert running.visit(OTHER, "/say?after").status_code == 200
        assert running.visit(DOMAIN).status_code == 404
        assert _refused(running, DOMAIN)
        wait_for(lambda: "said after" in alice.log(OTHER, "server"))
        assert "said before" in alice.log(OTHER, "server")
        assert not list((running.config.logs / "alice").glob(f"{DOMAIN}.*"))
        os.kill(running.pids()["supervisor"], signal.SIGKILL)  # the next one finds an instance of another name
        change(running, website, alias(THIRD))
        assert server_pid(running, website) == pid
        assert {running.visit(name).json()["pid"] for name in (OTHER, THIRD)} == {running.visit(OTHER).json()["pid"]}
        alice.write("named.py", "import sys; sys.exit('broken on purpose')\n")
        change(running, website, "same.update(generation=2)")
        wait_for(lambda: "broken on purpose" in alice.log(OTHER, "error"))
        assert "broken on purpose" in wait_for(lambda: _state(running, website)["detail"])
        alice.write("named.py", newer(ANSWERS))
        change(running, website, "same.update(generation=3)")
        wait_for(lambda: running.visit(OTHER).json()["version"] == "the newer one")
        assert not list((running.config.logs / "alice").glob(f"{DOMAIN}.*"))
    finally:
        change(running, website, "website.domains.filter(is_main=True).update(name='names-alice.localhost')")


def _state(running: Platform, website: dict[str, Any]) -> dict[str, Any]:
    found = stored(running, f"found = Website.objects.get(pk={website['id']}).observation.detail")
    return {"detail": found}


def test_what_changes_while_no_supervisor_runs_is_made_up_for(running: Platform, website: dict[str, Any]) -> None:
    change(running, website, alias(OTHER))
    supervisor = running.pids()["supervisor"]
    os.kill(supervisor, signal.SIGSTOP)
    stored(
        running,
        f"website = Website.objects.get(pk={website['id']})\nwebsite.domains.filter(is_main=False).delete()\n"
        + alias(THIRD)
        + "\nWebsite.objects.filter(pk=website.pk).update(force_https=True)",
    )
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: browse(running, DOMAIN).status_code == 200 and not (running.config.routes / OTHER).is_symlink())
    wait_for(lambda: running.visit(THIRD).status_code == 301)
    assert browse(running, THIRD).json()["pid"] == browse(running, DOMAIN).json()["pid"]
    os.utime(running.config.certificates / "local" / file_name(OTHER), (0, 0))  # the young are left alone
    os.kill(running.pids()["supervisor"], signal.SIGKILL)
    wait_for(lambda: _files(running, OTHER) == [])
    wait_for(lambda: attended(running))


def test_https_by_force(running: Platform, website: dict[str, Any]) -> None:
    pid = running.visit(DOMAIN).json()["pid"]
    change(running, website, alias(OTHER, redirects=True) + "; " + alias(THIRD))
    change(running, website, "same.update(force_https=True)")
    for method, status in {"GET": 301, "HEAD": 301, "POST": 308, "PUT": 308, "DELETE": 308, "OPTIONS": 308}.items():
        answer = running.visit(DOMAIN, "/a%2Fb?c=d&e", method)
        assert answer.status_code == status, method
        assert answer.headers["Location"] == f"https://{DOMAIN}:{running.https}/a%2Fb?c=d&e"
        assert answer.content == b""
    assert running.visit(THIRD, "/x").headers["Location"] == f"https://{THIRD}:{running.https}/x"
    there = running.visit(OTHER, "/x", "POST")
    assert (there.status_code, there.headers["Location"]) == (308, f"https://{DOMAIN}:{running.https}/x")
    assert browse(running, DOMAIN).json()["pid"] == pid
    change(running, website, "same.update(force_https=False)")
    assert running.visit(DOMAIN).json()["pid"] == pid


def test_hsts_is_told_over_https_only(running: Platform, alice: Account) -> None:
    own = '    if scope["path"] == "/own":\n        headers.append((b"strict-transport-security", b"max-age=1"))\n'
    code = ANSWERS.replace(
        '    await send({"type": "http.response.start"', own + '    await send({"type": "http.response.start"'
    )
    alice.write("strict.py", code)
    with site(alice, uvicorn("strict"), DOMAIN) as website:
        change(running, website, alias(OTHER, redirects=True))
        assert "Strict-Transport-Security" not in browse(running, DOMAIN).headers
        change(running, website, "same.update(hsts_seconds=31536000)")
        for version in (False, True):
            assert browse(running, DOMAIN, http2=version).headers["Strict-Transport-Security"] == "max-age=31536000"
        assert browse(running, OTHER).headers["Strict-Transport-Security"] == "max-age=31536000"
        assert browse(running, DOMAIN, "/own").headers.get_list("Strict-Transport-Security") == ["max-age=1"]
        assert "Strict-Transport-Security" not in running.visit(DOMAIN).headers
        change(running, website, "same.update(force_https=True)")
        assert "Strict-Transport-Security" not in running.visit(DOMAIN).headers
        change(running, website, "same.update(force_https=False, enabled=False)")
        answer = browse(running, DOMAIN)
        assert (answer.status_code, answer.headers["Strict-Transport-Security"]) == (503, "max-age=31536000")


def test_hsts_is_told_with_the_page_of_a_site_that_fails(running: Platform, alice: Account) -> None:
    alice.write("mute.py", ANSWERS)
    with site(alice, uvicorn("mute"), DOMAIN) as website:
        change(running, website, "same.update(hsts_seconds=300)")
        answer = browse(running, DOMAIN, "/end")
        assert answer.status_code == 502
        assert answer.headers.get_list("Strict-Transport-Security") == ["max-age=300"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", f"evil.example#.{DOMAIN}", f"{DOMAIN}@evil.example", f"{DOMAIN}:1@evil.example", f"{DOMAIN}%0d",
        f"{DOMAIN}/evil.example", f"{DOMAIN}\\evil.example", f"{DOMAIN}.evil.example", "", f"{DOMAIN}\tx",
        f"{DOMAIN}\r\nHost: evil.example",
    ],
)  # fmt: skip
def test_a_hostile_host_leads_nowhere_else(running: Platform, website: dict[str, Any], host: str) -> None:
    change(running, website, "same.update(force_https=True)")
    answer = raw(running, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    for place in re.findall(rb"\r\nLocation: (.*)\r\n", answer):
        assert place == f"https://{DOMAIN}:{running.https}/".encode()
    assert re.match(rb"HTTP/1.1 (301|400|404) ", answer), answer


@pytest.mark.parametrize("port", ["", ":1", ":8443"])
def test_the_port_that_was_named_is_not_believed(running: Platform, website: dict[str, Any], port: str) -> None:
    change(running, website, "same.update(force_https=True)")
    for line in ("/x?y", f"http://{DOMAIN}:1/x?y"):
        answer = raw(running, f"GET {line} HTTP/1.1\r\nHost: {DOMAIN}{port}\r\nConnection: close\r\n\r\n".encode())
        assert f"\r\nLocation: https://{DOMAIN}:{running.https}/x?y\r\n".encode() in answer


@pytest.mark.parametrize("path", [b"/\rX-Evil: 1", b"/a\x00b", b"/a b\nX-Evil: 1", b"http://evil.example/", b"*"])
def test_a_hostile_path_adds_no_header(running: Platform, website: dict[str, Any], path: bytes) -> None:
    change(running, website, "same.update(force_https=True)")
    answer = raw(running, b"GET " + path + b" HTTP/1.1\r\nHost: " + DOMAIN.encode() + b"\r\nConnection: close\r\n\r\n")
    assert b"\r\nX-Evil" not in answer
    assert re.match(rb"HTTP/1.1 (400|404) ", answer) or b"\r\nLocation: https://" + DOMAIN.encode() in answer, answer


CHALLENGE = "/.well-known/acme-challenge/"


def _challenges(running: Platform) -> Path:
    return files.directory(running.config.challenges / CHALLENGE.strip("/"))


@pytest.fixture
def token(running: Platform) -> Iterator[str]:
    """The path of a file that the certificates' process would write."""
    path = _challenges(running) / "token-1_A"
    path.write_text("token-1_A.thumbprint")
    os.chown(path, running.config.control_uid, running.config.control_uid)
    yield CHALLENGE + path.name
    path.unlink()


def test_a_challenge_is_answered_for_every_name(running: Platform, website: dict[str, Any], token: str) -> None:
    change(running, website, alias(OTHER, redirects=True) + "; same.update(force_https=True, hsts_seconds=300)")
    for host in (DOMAIN, OTHER, "nobody.example", "localhost", "www.localhost"):
        answer = running.visit(host, token)
        assert (answer.status_code, answer.text) == (200, "token-1_A.thumbprint"), host
    assert running.visit(DOMAIN, CHALLENGE).status_code == 301
    assert running.visit("nobody.example", CHALLENGE + "x").status_code == 404
    assert running.visit("localhost", CHALLENGE + "x").status_code == 404


def test_a_challenge_that_is_not_ours_is_the_websites(running: Platform, alice: Account, token: str) -> None:
    alice.write("named.py", ANSWERS)
    with site(alice, uvicorn("named"), DOMAIN):
        answer = running.visit(DOMAIN, CHALLENGE + "mine?x", "POST", data=b"hello")
        assert (answer.status_code, answer.json()["received"]) == (200, 5)
        assert running.visit(DOMAIN, CHALLENGE).status_code == 200
        wait_for(lambda: f"POST {CHALLENGE}mine?x " in alice.log(DOMAIN, "access"))


def test_a_challenge_is_a_file_of_its_directory(running: Platform) -> None:
    """Who writes challenges is not root: a link there must not read what only nginx may."""
    link = _challenges(running) / "link"
    link.symlink_to(running.config.certificates / "local" / "localhost.pem")
    try:
        answer = running.visit("nobody.example", CHALLENGE + "link")
        assert "PRIVATE" not in answer.text
        assert answer.status_code in (403, 404)
        up = running.visit("nobody.example", CHALLENGE + "..%2f..%2f..%2fcertificates.sock")
        assert up.status_code in (400, 404)
    finally:
        link.unlink()
