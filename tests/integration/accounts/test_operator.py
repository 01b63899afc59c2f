"""The operator's pages and what is done there."""

from __future__ import annotations

import html
import re
import time

import httpx
import pytest

from tests.integration.accounts.conftest import PASSWORD, Browser, House, house
from tests.integration.accounts.test_account import turn_on
from tests.integration.api.conftest import Supervisor

SECRET = re.compile(r'<code id="password"[^>]*>([0-9a-f-]+)</code>')


def website(home: House, name: str, token: str, **extra: object) -> str:
    """A new website of the account; returns its domain."""
    domain = f"{name}.example.org"
    body = {"domain_name": domain, "enabled": True, "webapp": {"command": "SECRET=hunter2 true"}, **extra}
    answer = home.api(name, token, "POST", json=body)
    assert answer.status_code == 201, answer.text
    return domain


def is_enabled(home: House, domain: str) -> bool:
    with home.database() as database:
        query = "SELECT enabled FROM control_website w JOIN control_domain d ON d.website_id = w.id WHERE d.name = ?"
        return bool(database.execute(query, [domain]).fetchone()[0])


def do(olivia: Browser, name: str, deed: str) -> str:
    """Do it, having confirmed; returns the page then."""
    path = f"/operator/accounts/{name}/"
    assert olivia.post(path, do=deed).status_code == 200
    assert 'name="confirmed" value="yes"' in olivia.page
    answer = olivia.post(path, do=deed, confirmed="yes")
    assert answer.status_code in (200, 303)
    return answer.text if answer.status_code == 200 else olivia.get(path).text


def test_an_account_with_a_random_password(home: House, olivia: Browser, somebody: str) -> None:
    name = f"n{somebody}"
    answer = olivia.post("/operator/accounts/", username=name.upper())
    found = SECRET.search(answer.text)
    assert found
    assert "no-store" in answer.headers["Cache-Control"]
    assert home.browser().sign_in(name, found[1]).status_code == 302
    assert not SECRET.search(olivia.get(f"/operator/accounts/{name}/").text)


def test_an_account_with_a_password(home: House, olivia: Browser, somebody: str) -> None:
    for fields, problem in (
        ({"username": "alice"}, "exists already"),
        ({"username": "root"}, "reserved"),
        ({"username": f"n{somebody}", "password": "short"}, "too short"),
    ):
        assert olivia.post("/operator/accounts/", **fields).status_code == 422
        assert problem in olivia.problem()
    assert olivia.post("/operator/accounts/", username=f"n{somebody}", password=PASSWORD).status_code == 303
    made = home.browser(f"n{somebody}")
    assert made.get("/operator/").status_code == 404
    olivia.post("/operator/accounts/", username=f"o{somebody}", password=PASSWORD, operator="yes")
    assert home.browser(f"o{somebody}").get("/operator/").status_code == 200


def test_nothing_is_done_unconfirmed(home: House, olivia: Browser, somebody: str) -> None:
    browser = home.browser(somebody)
    for deed in ("suspend", "reset", "sign-out", "nonsense"):
        assert olivia.post(f"/operator/accounts/{somebody}/", do=deed).status_code == 200
    assert browser.is_in()
    assert olivia.get("/operator/accounts/nobodyhere/").status_code == 404


def test_suspending_and_ending_it(home: House, olivia: Browser, somebody: str) -> None:
    token = home.cli("token", "create", somebody).strip()
    inside = re.search(r"API_TOKEN=(\w+)", home.cli("env", somebody))
    assert inside
    domain = website(home, somebody, token)
    website(home, somebody, token, domain_name=f"off-{somebody}.example.org", enabled=False)
    off = f"off-{somebody}.example.org"
    browser = home.browser(somebody)
    assert "suspended" in do(olivia, somebody, "suspend")
    assert not browser.is_in()
    refused = home.browser()
    assert refused.sign_in(somebody).status_code == 422
    assert "is suspended" in refused.problem()
    assert home.browser().sign_in(somebody, "wrong").status_code == 422
    assert [home.api(somebody, each).status_code for each in (token, inside[1])] == [401, 401]
    assert (is_enabled(home, domain), is_enabled(home, off)) == (False, False)
    assert ">suspended<" in do(olivia, somebody, "suspend")  # again changes nothing
    assert ">active<" in do(olivia, somebody, "resume")
    assert (is_enabled(home, domain), is_enabled(home, off)) == (True, False)
    assert [home.api(somebody, each).status_code for each in (token, inside[1])] == [200, 200]
    assert home.browser(somebody).is_in()
    assert not browser.is_in()


def test_a_supervisor_that_does_not_answer_is_asked_once(home: House, olivia: Browser, somebody: str) -> None:
    token = home.cli("token", "create", somebody).strip()
    for number in range(3):
        website(home, somebody, token, domain_name=f"n{number}-{somebody}.example.org")
    supervisor = Supervisor(home.config)
    try:
        for reply, times in ((None, 1), ("done", 3)):
            supervisor.asked.clear()
            supervisor.settle = lambda *_, said=reply: said  # type: ignore[misc]
            do(olivia, somebody, "suspend" if reply is None else "resume")
            assert len(supervisor.asked) == times
    finally:
        supervisor.close()
        home.config.supervisor_socket.unlink()


def test_nothing_of_a_suspended_account_is_enabled(home: House, olivia: Browser, somebody: str) -> None:
    domain = website(home, somebody, home.cli("token", "create", somebody).strip())
    home.cli("user", "suspend", somebody)
    assert olivia.post(f"/websites/{domain}/enabled/", enabled="yes").status_code == 303
    assert f"The account {somebody} is suspended" in olivia.get(f"/websites/{domain}/").text
    assert not is_enabled(home, domain)


def test_what_was_disabled_meanwhile_stays_so(home: House, somebody: str) -> None:
    token = home.cli("token", "create", somebody).strip()
    domain = website(home, somebody, token)
    home.cli("user", "suspend", somebody)
    with home.database() as database:  # as a service that enables and disables does, for an operator
        database.execute(
            "UPDATE control_website SET resumes = 0 WHERE id = (SELECT website_id FROM control_domain WHERE name = ?)",
            [domain],
        )
    assert "0 websites are enabled" in home.cli("user", "resume", somebody)
    assert not is_enabled(home, domain)


def test_a_new_password_for_somebody(home: House, olivia: Browser, somebody: str) -> None:
    browser = home.browser(somebody)
    guesser = home.browser()
    guesser.sign_in(somebody, "a guess")
    home.guessed(f"name:{somebody}")
    found = SECRET.search(do(olivia, somebody, "reset"))
    assert found
    assert not browser.is_in()
    fresh = home.browser()
    assert fresh.sign_in(somebody).status_code == 422
    assert fresh.sign_in(somebody, found[1]).status_code == 302  # at once, whatever was guessed before
    printed = home.cli("user", "reset", somebody).strip()
    assert not fresh.is_in()
    assert fresh.sign_in(somebody, printed).status_code == 302


def test_signing_somebody_out_everywhere(home: House, olivia: Browser, somebody: str) -> None:
    browsers = [home.browser(somebody) for _ in range(3)]
    do(olivia, somebody, "sign-out")
    assert not any(browser.is_in() for browser in browsers)
    assert home.browser(somebody).is_in()


def test_revoking_somebodys_token(home: House, olivia: Browser, somebody: str) -> None:
    token = home.cli("token", "create", somebody).strip()
    do(olivia, somebody, "revoke")
    assert home.api(somebody, token).status_code == 401


@pytest.mark.parametrize("deed", ["suspend", "reset", "sign-out", "second-factor"])
def test_not_to_oneself(home: House, olivia: Browser, deed: str) -> None:
    assert olivia.post("/operator/accounts/olivia/", do=deed, confirmed="yes").status_code == 422
    assert "your own account" in olivia.problem()
    assert olivia.is_in()


def test_lost_phone(home: House, olivia: Browser, somebody: str) -> None:
    turn_on(home.browser(somebody))
    do(olivia, somebody, "second-factor")
    assert home.browser(somebody).is_in()
    turn_on(home.browser(somebody))
    printed = home.cli("user", "reset", "--second-factor", somebody).strip()
    assert home.browser().sign_in(somebody, printed).headers["Location"] == "/account/token/"


def rows(olivia: Browser, **chosen: str) -> list[str]:
    """The audit log's lines as they read."""
    olivia.get("/operator/audit/", params=chosen)
    found = re.findall(r"<tr>\s*<td.*?</tr>", olivia.page, re.S)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in found]


def test_the_audit_log_tells_who_did_what_from_where(home: House, olivia: Browser, somebody: str) -> None:
    token = home.cli("token", "create", somebody).strip()
    domain = website(home, somebody, token)
    home.api(somebody, token, "PATCH", f"websites/{domain}/", json={"enabled": False})
    home.api(somebody, token, "PATCH", f"websites/{domain}/", json={"enabled": False})  # which changes nothing
    home.api(somebody, token, "PATCH", f"websites/{domain}/", json={"webapp": {"command": "PASSWORD=hunter3 true"}})
    home.api(somebody, token, "POST", f"websites/{domain}/domains/", json={"domain_name": f"{somebody}.test"})
    home.api(somebody, token, "DELETE", f"websites/{domain}/domains/{somebody}.test/")
    home.api(somebody, token, "DELETE", f"websites/{domain}/")
    browser = home.browser(somebody)
    home.browser().sign_in(somebody, "hunter4 by mistake")
    browser.post("/account/password/", password=PASSWORD, new="hunter5 the horse", again="hunter5 the horse")
    browser.post("/sign-out/")
    do(olivia, somebody, "suspend")

    own = [row.split("UTC ")[1] for row in reversed(rows(olivia, actor=somebody))]
    assert own == [
        f"{somebody} created the website {domain} API 203.0.113.7",
        f"{somebody} disabled the website {domain} API 203.0.113.7",
        f"{somebody} changed the website {domain} (command) API 203.0.113.7",
        f"{somebody} added the domain {somebody}.test (website {domain}) API 203.0.113.7",
        f"{somebody} removed the domain {somebody}.test API 203.0.113.7",
        f"{somebody} deleted the website {domain} API 203.0.113.7",
        f"{somebody} signed in as {somebody} dashboard {browser.address}",
        f"{somebody} changed the password of {somebody} dashboard {browser.address}",
        f"{somebody} signed out from {somebody} dashboard {browser.address}",
    ]
    others = [row.split("UTC ")[1] for row in reversed(rows(olivia, target=somebody)) if f"UTC {somebody} " not in row]
    assert [row.rpartition(" dashboard")[0] or row for row in others] == [
        f"root created the account {somebody} command line",
        f"root created an API token for {somebody} command line",
        f"somebody failed to sign in as {somebody}",
        f"olivia suspended the account {somebody}",
    ]
    assert len(rows(olivia, target=somebody, action="account")) == 2
    with home.database() as database:
        kept = database.execute("SELECT actor, target, detail FROM control_auditentry").fetchall()
    assert not re.search("hunter|SECRET|PASSWORD=", str(kept))
    assert token not in str(kept)


def test_what_is_typed_for_a_name_by_mistake_is_not_noted(home: House, olivia: Browser) -> None:
    home.browser().sign_in("MyPassw0rd", "alice")
    assert "failed to sign in as an unknown name" in rows(olivia)[0]


def test_the_audit_log_is_paged_and_bounded(home: House, olivia: Browser) -> None:
    line = "INSERT INTO control_auditentry (id, at, actor, action, target, detail, address, way) VALUES "
    with home.database() as database:
        last = database.execute("SELECT max(id) FROM control_auditentry").fetchone()[0]
        number = (last // 100 + 3) * 100
        old = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 91 * 86_400))
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        database.executemany(
            line + "(?, ?, 'dave', 'website.reload', 'x.test', '', '', 'api')",
            [(each, old if each == last + 1 else now) for each in range(last + 1, number)],
        )
    count = number - last - 1
    seen = [len(rows(olivia, actor="dave"))]
    while older := re.search(r'href="([^"]*before=\d+)" rel="next"', olivia.page):
        olivia.get("/operator/audit/" + html.unescape(older[1]))
        seen.append(olivia.page.count("<strong>x.test</strong>"))
    assert (set(seen[:-1]), sum(seen)) == ({100}, count)
    olivia.post("/sign-out/")  # the entry whose number is a round one
    with home.database() as database:
        left = database.execute("SELECT count(*) FROM control_auditentry WHERE actor = 'dave'").fetchone()[0]
    assert left == count - 1


def test_all_websites(home: House, olivia: Browser, somebody: str) -> None:
    token = home.cli("token", "create", somebody).strip()
    domain = website(home, somebody, token)
    home.api(somebody, token, "PATCH", f"websites/{domain}/", json={"enabled": False})
    for chosen in ({"q": somebody}, {"q": somebody, "state": "disabled"}, {"q": domain[:9], "order": "requests"}):
        olivia.get("/operator/websites/", params=chosen)
        assert f'href="/websites/{domain}/"' in olivia.page
    olivia.get("/operator/websites/", params={"q": somebody, "state": "running"})
    assert domain not in olivia.page.replace(f'value="{somebody}"', "")


def test_without_a_supervisor_it_is_said(home: House, olivia: Browser) -> None:
    olivia.get("/operator/")
    assert "The supervisor does not answer" in olivia.page
    olivia.get("/operator/certificates/")
    assert "The supervisor does not answer" in olivia.page


def test_no_change_is_called_done_without_a_supervisor(home: House, somebody: str) -> None:
    domain, alias = website(home, somebody, home.cli("token", "create", somebody).strip()), f"a-{somebody}.example.org"
    browser = home.browser(somebody)

    def said(path: str, **fields: str) -> list[str]:
        answer = browser.post(path, **fields)
        assert answer.status_code == 303
        browser.get(answer.headers["Location"])
        return [html.unescape(text) for text in re.findall(r'class="notice warning"[^>]*>([^<]+)', browser.page)]

    away = "The supervisor is not answering; the change will be carried out once it runs."
    places: dict[str, str] = {}
    for fields in (
        {"do": "add", "domain_name": alias},
        {"do": "add", "domain_name": f"b-{alias}"},
        {"do": "redirect", "domain": alias, "redirect": "yes"},
        {"do": "main", "domain": alias},
        {"do": "main", "domain": domain},
        {"do": "https", "force_https": "yes", "hsts_seconds": "0"},
        {"do": "remove", "domain": alias},
    ):
        main = alias if fields == {"do": "main", "domain": domain} else domain
        assert said(f"/websites/{main}/domains/", **fields) == [away], fields
        found = {name: place for place, name in re.findall(r'<h2 id="heading-(\d+)"[^>]*>([^<]+)', browser.page)}
        assert places | found == found | places, "a name's place on the page is its own"
        places |= found
    assert said(f"/websites/{domain}/delete/", confirmed=domain) == [f"{domain} is deleted. {away}"]


def test_a_null_character_in_the_address_is_refused(home: House, olivia: Browser) -> None:
    for path in (
        "/websites/?q=%00",
        "/operator/accounts/?q=a%00",
        "/operator/audit/?actor=%00",
        "/operator/websites/?q=%00",
    ):
        answer = olivia.get(path)
        assert (answer.status_code, "could not be read" in answer.text) == (400, True), path
    assert olivia.get("/operator/accounts/%00/").status_code == 404


def test_forms_are_counted_as_calls_of_the_api_are() -> None:
    with house(RATE_LIMIT="3") as place:
        browser, other = place.browser("alice"), place.browser("alice")
        token = browser.token()

        def send(path: str, **headers: str) -> httpx.Response:
            return browser.request("POST", path, data={"csrfmiddlewaretoken": token, "command": "x"}, headers=headers)

        assert [send("/websites/new/").status_code for _ in range(5)] == [422] * 3 + [429] * 2
        seconds = int(send("/websites/new/").headers["Retry-After"])
        assert 1 <= seconds <= 60
        assert "That was too much in one minute, and nothing was done. Try again in " in browser.page
        assert other.post("/websites/new/", command="x").status_code == 429  # it is the account that counts
        assert send("/account/token/").status_code == 200  # another page
        assert browser.get("/websites/new/").status_code == 200
        by_htmx = send("/websites/new/", **{"HX-Request": "true"})  # whose page stays as it was filled in
        assert (by_htmx.status_code, "HX-Refresh" in by_htmx.headers) == (429, False)
