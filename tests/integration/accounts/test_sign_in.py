"""Signing in: cookies, fixation, forms from elsewhere, pauses against guessing."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from itertools import count
from pathlib import Path

import pytest

from hereabouts.core.pauses import Limit
from hereabouts.daemons.environ import environment
from tests.integration.accounts.conftest import PASSWORD, Browser, House, house, until_refused


def test_cookies_are_closed_to_scripts_and_other_sites(home: House) -> None:
    browser = home.browser()
    fields = {"csrfmiddlewaretoken": browser.token(), "username": "alice", "password": PASSWORD}
    answer = browser.request("POST", "/sign-in/", data=fields)
    lines = answer.headers.get_list("set-cookie")
    assert {line.partition("=")[0] for line in lines} == {"__Host-session", "__Host-csrf"}
    for line in lines:
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in line.split(";")}
        assert "Domain" not in line


PLANT = """\
import django
django.setup()
from hereabouts.control.dashboard.sessions import SessionStore
store = SessionStore()
store.create()
print(store.session_key)
"""


def test_a_session_key_that_somebody_planted_is_not_taken(home: House) -> None:
    """One that the database knows, with nobody signed in: it would be taken over if it were not changed."""
    planted = subprocess.run(
        [sys.executable, "-c", PLANT], env=environment(home.config), cwd="/", text=True, check=True, capture_output=True
    ).stdout.strip()
    browser = home.browser()
    browser.cookies["__Host-session"] = planted
    assert browser.sign_in("alice").status_code == 302
    assert browser.is_in()
    assert browser.session != planted
    assert not Browser(home.config, cookies={"__Host-session": planted}).is_in()


def test_signing_in_again_is_another_session(home: House) -> None:
    first = home.browser("alice")
    before = first.session
    first.post("/sign-out/")
    assert not first.is_in()
    assert not Browser(home.config, cookies={"__Host-session": before}).is_in()
    assert first.sign_in("alice").status_code == 302
    assert first.session != before


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "nothing-of-ours"]
)
def test_nobody_is_led_elsewhere(home: House, to: str) -> None:
    assert home.browser().sign_in("alice", to=to).headers["Location"] == "/"


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_guessing_a_password_is_slowed_down(home: House, somebody: str, known: bool) -> None:
    name = somebody if known else f"x{somebody}"
    browser = home.browser()
    assert browser.sign_in(name, "a guess").status_code == 422
    assert "do not belong together" in browser.problem()
    assert until_refused(lambda: browser.sign_in(name, "a guess").status_code) >= 4
    assert re.search(r"Try again in \d seconds?\.", browser.problem())
    home.guessed(f"name:{name}")
    other = home.browser()
    answer = other.sign_in(name)  # from anywhere, and with the right password, too
    assert answer.status_code == 429
    assert 240 < int(answer.headers["Retry-After"]) <= 300
    assert "Try again in 5 minutes." in other.problem()
    assert browser.sign_in("alice").status_code == 302  # who is somebody else


def test_a_pause_ends_and_success_begins_anew(home: House, somebody: str) -> None:
    browser = home.browser()
    until_refused(lambda: browser.sign_in(somebody, "a guess").status_code)
    _until_taken(browser, somebody, PASSWORD)
    assert browser.is_in()
    assert until_refused(lambda: home.browser().sign_in(somebody, "a guess").status_code) >= 5


def _until_taken(browser: Browser, name: str, password: str) -> None:
    deadline = time.monotonic() + 30
    while browser.sign_in(name, password).status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_many_guesses_at_once_are_not_more(home: House, somebody: str) -> None:
    limit = Limit(free=5, longest=300.0)  # that of a name
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda _: home.browser().sign_in(somebody, "a guess").status_code, range(16)))
    passed, allowed = time.monotonic() - began, limit.free
    while (passed := passed - limit.pause(allowed)) > 0:  # on a slow machine the first pauses end while others wait
        allowed += 1
    assert set(codes) == {422, 429}, codes
    assert codes.count(422) <= allowed, (codes, passed)


def test_many_who_sign_in_at_once_do_not_use_the_memory_up(home: House) -> None:
    status, number = Path(f"/proc/{home.pid}/status"), count(1)

    def megabytes(what: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(what)) // 1024

    def sign_in(browser: Browser, token: str) -> int:
        fields = {"csrfmiddlewaretoken": token, "username": f"crowd{next(number)}", "password": "a guess"}
        return browser.request("POST", "/sign-in/", data=fields).status_code

    browsers = [home.browser() for _ in range(16)]
    tokens = [browser.token("/sign-in/") for browser in browsers]
    Path(f"/proc/{home.pid}/clear_refs").write_text("5")  # forget the highest so far
    before = megabytes("VmRSS")
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(sign_in, browsers, tokens)) == {422}
    assert megabytes("VmHWM") - before < 160  # 16 at once would take 256, four take 64


def test_guessing_names_from_one_place_is_slowed_down(home: House) -> None:
    network = "2001:db8:1:2"
    numbers = count(1)

    def guess() -> int:
        number = next(numbers)
        return home.browser(address=f"{network}::{number:x}").sign_in(f"guess{number}", "a guess").status_code

    assert until_refused(guess) >= 20
    home.guessed(f"address:{network}::")
    assert home.browser(address=f"{network}::ffff").sign_in("alice").status_code == 429
    assert home.browser(address="2001:db8:1:3::1").sign_in("alice").status_code == 302


def test_an_unknown_name_takes_as_long(home: House, somebody: str) -> None:
    def seconds(name: str) -> float:
        browser = home.browser()
        fields = {"csrfmiddlewaretoken": browser.token(), "username": name, "password": "a guess"}
        began = time.monotonic()
        browser.request("POST", "/sign-in/", data=fields)
        return time.monotonic() - began

    pairs = [(seconds(somebody), seconds(f"unknown{number}")) for number in range(5)]  # in turns: both wait alike
    known, unknown = (statistics.median(each) for each in zip(*pairs, strict=True))
    assert known / 3 < unknown < known * 3


HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>"


def test_hostile_texts_stay_texts(home: House, olivia: Browser) -> None:
    home.browser("alice", agent=HOSTILE)
    alice = home.browser("alice")
    alice.sign_in(HOSTILE, "a guess")
    stranger = home.browser()
    stranger.sign_in(HOSTILE, "a guess")
    pages = [stranger.page]
    for path in ("/account/sessions/", "/account/token/"):
        alice.get(path)
        pages.append(alice.page)
    for path in ("/operator/accounts/", "/operator/websites/", "/operator/audit/"):
        for name in ("q", "actor", "target", "action", "state", "order", "page", "before"):
            assert olivia.get(path, params={name: HOSTILE}).status_code == 200
            pages.append(olivia.page)
    olivia.post("/operator/accounts/", username=HOSTILE)
    pages.append(olivia.page)
    assert olivia.get("/sign-in/", params={"next": HOSTILE}).status_code == 302
    assert any("&lt;script&gt;alert(1)" in page for page in pages)
    for page in pages:
        Tags().feed(page)


class Tags(HTMLParser):
    """Looks at a page as a browser would."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not any(name == "style" or (name.startswith("on") and len(name) > 2) for name in given), (tag, attrs)
        assert tag != "script" or (given["src"] or "").startswith("/static/")
        assert tag != "img" or (given["src"] or "").startswith(("/static/", "data:image/"))


def test_there_is_no_sign_up_unless_the_operator_wants_it(home: House) -> None:
    stranger = home.browser()
    assert stranger.get("/sign-up/").status_code == 404
    assert stranger.post("/sign-up/", username="carol", password=PASSWORD, again=PASSWORD).status_code == 404
    stranger.get("/sign-in/")
    assert "sign-up" not in stranger.page


def test_sign_up() -> None:
    with house(SIGN_UP="true") as place:
        carol = place.browser()
        carol.get("/sign-in/")
        assert 'href="/sign-up"' in carol.page
        for fields, problem in (
            ({"username": "alice"}, "Somebody has that name already"),
            ({"username": "www"}, "reserved"),
            ({"username": "no-dash"}, "a letter followed by letters and digits"),
            ({"again": "something else"}, "not the same"),
            ({"password": "short", "again": "short"}, "too short"),
        ):
            browser = place.browser()
            given = {"username": "carol", "password": PASSWORD, "again": PASSWORD, **fields}
            assert browser.post("/sign-up/", **given).status_code == 422
            assert problem in browser.problem()
        assert carol.post("/sign-up/", username="Carol", password=PASSWORD, again=PASSWORD).status_code == 303
        assert carol.is_in()
        assert place.browser("carol").is_in()
        numbers = count(1)

        def another(**fields: str) -> int:
            given = {"username": f"more{next(numbers)}", "password": PASSWORD, "again": PASSWORD, **fields}
            return place.browser(address="198.18.0.1").post("/sign-up/", **given).status_code

        assert {another(password="short", again="short") for _ in range(8)} == {422}  # which is no account
        assert {another(username="alice") for _ in range(8)} == {422}
        assert until_refused(another) >= 5
        place.guessed("sign-up-taken:198.18.0.1")
        assert another(username="alice") == 429
