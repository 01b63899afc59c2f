"""The account's own pages, as alice, bob and nobody see them."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest

from tests.integration.accounts.conftest import PASSWORD, Browser, House, until_refused

NEW = "another horse entirely"
TOKEN = re.compile(r"\b[0-9a-f]{40}\b")
CODE = re.compile(r"\b[a-z2-9]{4}(?:-[a-z2-9]{4}){3}\b")


def made_token(browser: Browser) -> str:
    """The token on the page that shows it."""
    found = set(TOKEN.findall(browser.page))
    assert len(found) == 1
    return found.pop()


def test_a_token_is_shown_once(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    browser.get("/account/token/")
    assert "Create a new API token" in browser.page
    answer = browser.post("/account/token/")
    token = made_token(browser)
    assert "no-store" in answer.headers["Cache-Control"]
    assert f"export API_TOKEN={token}\n" in answer.text
    assert f"export PYTHONANYWHERE_USERNAME={somebody}\n" in answer.text
    assert "export PYTHONANYWHERE_SITE=example.org:8443\n" in answer.text
    assert "export PYTHONANYWHERE_DOMAIN=example.org\n" in answer.text
    assert home.api(somebody, token).json() == []
    browser.get("/account/token/")
    assert not TOKEN.search(browser.page)
    assert "Revoke the token" in browser.page


def test_the_lines_for_pa_name_what_its_certificates_are_trusted_by(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    answer = browser.post("/account/token/")
    assert "export REQUESTS_CA_BUNDLE=&quot;$HOME/hereabouts-authorities.pem&quot;" in answer.text
    home.config.ca_bundle.write_text("-----BEGIN CERTIFICATE-----\n")
    answer = browser.get("/account/hereabouts-authorities.pem")
    assert answer.text == "-----BEGIN CERTIFICATE-----\n"
    assert 'filename="hereabouts-authorities.pem"' in answer.headers["Content-Disposition"]


def test_revoking_asks_first_and_ends_the_old_token(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    browser.post("/account/token/")
    old = made_token(browser)
    browser.post("/account/token/")
    assert "Revoke the API token and make a new one?" in browser.page
    assert home.api(somebody, old).status_code == 200
    browser.post("/account/token/", confirmed="yes")
    new = made_token(browser)
    assert (home.api(somebody, old).status_code, home.api(somebody, new).status_code) == (401, 200)


def test_when_and_from_where_the_token_was_used(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    browser.post("/account/token/")
    token = made_token(browser)
    browser.get("/account/token/")
    assert "Not yet" in browser.page
    home.api(somebody, token)
    browser.get("/account/token/")
    assert time.strftime("%Y-%m-%d", time.gmtime()) in browser.page
    assert "203.0.113.7" in browser.page
    with home.database() as database:
        query = "SELECT token_used_at FROM control_account WHERE username = ?"
        first = database.execute(query, [somebody]).fetchone()
        home.api(somebody, token)
        assert database.execute(query, [somebody]).fetchone() == first  # not written for each call
    browser.post("/account/token/", confirmed="yes")
    browser.get("/account/token/")
    assert "203.0.113.7" not in browser.page


def test_changing_the_password(home: House, somebody: str) -> None:
    browser, other = home.browser(somebody), home.browser(somebody)
    for fields, problem in (
        ({"password": "wrong"}, "That is not your password."),
        ({"again": "something else"}, "not the same"),
        ({"new": "short", "again": "short"}, "too short"),
        ({"new": "password123", "again": "password123"}, "too common"),
    ):
        given = {"password": PASSWORD, "new": NEW, "again": NEW, **fields}
        assert browser.post("/account/password/", **given).status_code == 422
        assert problem in browser.problem()
    assert other.is_in()
    before = browser.session
    assert browser.post("/account/password/", password=PASSWORD, new=NEW, again=NEW).status_code == 303
    assert browser.is_in()
    assert "Wherever else you were signed in, you are signed out." in browser.page
    assert browser.session != before
    assert not other.is_in()
    assert home.browser().sign_in(somebody).status_code == 422
    assert home.browser().sign_in(somebody, NEW).status_code == 302


def test_guessing_the_password_of_an_open_browser_is_slowed_down(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    guess = {"password": "a guess", "new": NEW, "again": NEW}
    assert until_refused(lambda: browser.post("/account/password/", **guess).status_code) >= 5
    assert home.browser().sign_in(somebody).status_code == 302  # which is another matter


def handles(browser: Browser) -> list[str]:
    """What stands for the sessions that may be ended."""
    browser.get("/account/sessions/")
    return re.findall(r'name="session" value="([0-9a-f]+)"', browser.page)


def test_sessions_are_listed_and_ended(home: House, somebody: str) -> None:
    chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0"
    browser, second = home.browser(somebody), home.browser(somebody, agent=chrome)
    third = home.browser(somebody)
    assert len(handles(browser)) == 2
    assert "Firefox 140 on Linux" in browser.page
    assert "Chrome 141 on Windows" in browser.page
    assert second.address in browser.page
    assert not any(each.session in browser.page for each in (browser, second, third))
    row = next(row for row in browser.page.split("<tr>") if "Chrome 141" in row)
    chosen = re.search(r'name="session" value="([0-9a-f]+)"', row)
    assert chosen
    assert browser.post("/account/sessions/", session=chosen[1]).status_code == 303
    assert (browser.is_in(), second.is_in(), third.is_in()) == (True, False, True)
    assert browser.post("/account/sessions/", session="others").status_code == 303
    assert (browser.is_in(), third.is_in()) == (True, False)
    assert handles(browser) == []


def test_nobody_ends_anothers_session(home: House, somebody: str) -> None:
    one, two, bob = home.browser(somebody), home.browser(somebody), home.browser("bob")
    for handle in handles(one):
        bob.post("/account/sessions/", session=handle)
    bob.post("/account/sessions/", session="others")
    assert one.is_in()
    assert two.is_in()
    one.post("/account/sessions/", session="")
    assert two.is_in()


def test_a_session_that_was_ended_does_not_come_back(home: House, somebody: str) -> None:
    browser, other = home.browser(somebody), home.browser(somebody)
    browser.post("/account/sessions/", session="others")
    assert not other.is_in()
    assert other.post("/account/token/").status_code == 302
    assert not other.is_in()


def test_the_address_of_a_session_is_the_latest(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    with home.database() as database:
        database.execute("UPDATE control_session SET seen_at = 0 WHERE session_key = ?", [browser.session])
    moved = Browser(home.config, address="198.51.100.200", cookies=browser.cookies)
    assert moved.is_in()
    moved.post("/account/sessions/", session="others")  # whose message is stored in the session
    moved.get("/account/sessions/")
    assert "198.51.100.200" in moved.page
    assert browser.address not in moved.page


def test_a_session_that_ends_during_a_request_leads_to_signing_in(home: House, somebody: str) -> None:
    browser, fast = home.browser(somebody), home.browser(somebody)
    token = browser.token()
    with home.database() as database:  # which control waits for, with the session already read
        database.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            fields = {"csrfmiddlewaretoken": token, "session": "others"}
            waiting = pool.submit(browser.request, "POST", "/account/sessions/", data=fields)
            time.sleep(1)
            database.execute("DELETE FROM control_session WHERE session_key = ?", [browser.session])
            database.execute("COMMIT")
            answer = waiting.result()
    assert (answer.status_code, answer.headers["Location"].rstrip("/")) == (302, "/sign-in")
    assert not fast.is_in()


def test_what_could_not_be_read_is_told_on_a_page(home: House) -> None:
    for path, kind in (("/sign-in/", "text/html"), ("/api/v1/user/alice/websites/", "application/json")):
        answer = home.browser().get(path, headers={"Host": "evil.example"})
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (400, kind)
        assert "evil.example" not in answer.text


def key_on(browser: Browser) -> str:
    """The key that the page shows."""
    found = re.search(r'<code id="key">([A-Z2-7 ]+)</code>', browser.page)
    assert found
    return found[1].replace(" ", "")


def _turning_on(browser: Browser, token: str, code: str, password: str) -> int:
    data = {"csrfmiddlewaretoken": token, "do": "on", "code": code, "password": password}
    return browser.request("POST", "/account/two-factor/", data=data).status_code


def test_a_key_that_somebody_has_seen_is_not_the_one_that_is_turned_on(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    browser.get("/account/two-factor/")
    seen = key_on(browser)
    token = browser.token("/account/two-factor/")
    assert key_on(browser) != seen
    assert _turning_on(browser, token, pyotp.TOTP(seen).now(), PASSWORD) == 422
    assert _turning_on(browser, token, pyotp.TOTP(key_on(browser)).now(), PASSWORD) == 200


def turn_on(browser: Browser) -> tuple[str, pyotp.TOTP, list[str]]:
    """Turn the second factor on; returns the code that did it, what an app holds, and the recovery codes."""
    token = browser.token("/account/two-factor/")
    app = pyotp.TOTP(key_on(browser))
    used = app.now()
    for code, password, problem in (
        ("12345", PASSWORD, "That code is not right"), (used, "wrong", "That is not your password."),
    ):  # fmt: skip
        assert _turning_on(browser, token, code, password) == 422
        assert problem in browser.problem()
        assert key_on(browser) == app.secret  # what was scanned is still good
    assert _turning_on(browser, token, used, PASSWORD) == 200
    codes = CODE.findall(browser.page)
    assert len(set(codes)) == 10
    return used, app, codes


def test_a_second_factor(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    used, app, codes = turn_on(browser)
    browser.get("/account/two-factor/")
    assert not CODE.search(browser.page)
    assert "10 recovery codes" in browser.page

    other = home.browser()
    answer = other.sign_in(somebody)
    assert (answer.status_code, answer.headers["Location"].rstrip("/")) == (302, "/sign-in/code")
    assert not other.is_in()
    assert other.post("/sign-in/code/", code=used).status_code == 422  # that step was used to turn it on
    halfway = other.session
    ahead = app.at(int(time.time()) + 30)  # of a clock that is ahead
    answer = other.post("/sign-in/code/", code=ahead)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account/token/")
    assert other.is_in()
    assert other.session != halfway

    again = home.browser()
    again.sign_in(somebody)
    assert again.post("/sign-in/code/", code=ahead).status_code == 422  # none is good twice
    assert again.post("/sign-in/code/", code=codes[3].upper().replace("-", " ")).status_code == 302
    assert again.is_in()
    last = home.browser()
    last.sign_in(somebody)
    assert last.post("/sign-in/code/", code=codes[3]).status_code == 422
    assert last.post("/sign-in/code/", code=codes[4]).status_code == 302


def test_new_recovery_codes_end_the_old(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    _, _, old = turn_on(browser)
    assert browser.post("/account/two-factor/", do="codes", password="wrong").status_code == 422
    assert browser.post("/account/two-factor/", do="codes", password=PASSWORD).status_code == 200
    new = CODE.findall(browser.page)
    assert not set(old) & set(new)
    other = home.browser()
    other.sign_in(somebody)
    assert other.post("/sign-in/code/", code=old[0]).status_code == 422
    assert other.post("/sign-in/code/", code=new[0]).status_code == 302


def test_turning_the_second_factor_off_needs_the_password(home: House, somebody: str) -> None:
    browser = home.browser(somebody)
    _, app, _ = turn_on(browser)
    assert browser.post("/account/two-factor/", do="off", password="wrong").status_code == 422
    assert "That is not your password." in browser.problem()
    assert home.browser().sign_in(somebody).headers["Location"].startswith("/sign-in/code")
    assert browser.post("/account/two-factor/", do="off", password=PASSWORD).status_code == 303
    assert home.browser().sign_in(somebody).headers["Location"] == "/account/token/"
    browser.get("/account/two-factor/")
    assert app.secret not in browser.page.replace(" ", "")  # another secret for another time


def test_guessing_codes_is_slowed_down(home: House, somebody: str) -> None:
    _, _, codes = turn_on(home.browser(somebody))
    browser = home.browser()
    browser.sign_in(somebody)
    assert until_refused(lambda: browser.post("/sign-in/code/", code="guess").status_code) >= 5
    home.guessed(f"code:{somebody}")
    other = home.browser()
    other.sign_in(somebody)  # knowing the password does not begin it anew
    assert other.post("/sign-in/code/", code=codes[0]).status_code == 429


def test_halfway_in_is_not_in(home: House, somebody: str) -> None:
    turned, other = home.browser(somebody), home.browser()
    _, app, _ = turn_on(turned)
    other.sign_in(somebody)
    for path in ("/", "/account/token/", "/account/two-factor/", "/websites/"):
        answer = other.get(path)
        assert answer.headers["Location"].startswith("/sign-in")
    turned.post("/account/password/", password=PASSWORD, new=NEW, again=NEW)
    answer = other.post("/sign-in/code/", code=app.at(int(time.time()) + 30))
    assert (answer.status_code, answer.headers["Location"].rstrip("/")) == (302, "/sign-in")  # begin again
    assert home.browser().get("/sign-in/code/").headers["Location"].rstrip("/") == "/sign-in"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_pages_know_get_and_post(home: House, olivia: Browser, method: str) -> None:
    for path in ("/account/token/", "/account/sessions/", "/operator/accounts/"):
        headers = {"X-CSRFToken": olivia.token(), "Origin": f"https://{home.config.host}"}
        assert olivia.request(method, path, headers=headers).status_code == 405
