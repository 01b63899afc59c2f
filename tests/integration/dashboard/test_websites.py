"""The pages of websites: the list, a new one, one with its tabs."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from zlib import crc32

import psutil
import pytest

from hereabouts.core.metrics import FINE, Sample
from hereabouts.supervisor import metrics
from tests.integration.dashboard.conftest import Person
from tests.integration.sites import PLAIN, newer, site
from tests.platform import Account, wait_for

COMMAND = "/usr/bin/python3 plain.py $DOMAIN_SOCKET"
DOMAIN = "pages-bob.localhost"
PAGE = f"/websites/{DOMAIN}/"
TABS = ("", "command/", "domains/", "logs/", "delete/")
HOSTILE = "<script>alert('x')</script>"
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def website(bob: Account) -> Iterator[str]:
    """Bob's website, which serves."""
    bob.write("plain.py", PLAIN)
    with site(bob, COMMAND, DOMAIN) as made:
        assert made["state"]["status"] == "running", made
        yield DOMAIN


def status(account: Account, domain: str) -> str:
    return str(account.get(domain)["state"]["status"])


def test_an_operator_sees_whose_website_it_is(operator_in: Person, website: str) -> None:
    assert "of bob" in operator_in.get(PAGE).text
    assert DOMAIN not in operator_in.get("/websites/").text  # that lists his own


def test_actions_are_no_links(bob_in: Person, website: str) -> None:
    for path in (PAGE + "reload/", PAGE + "enabled/", "/websites/new/recipe/"):
        assert bob_in.get(path).status_code == 405


@pytest.mark.parametrize("slash", ["", "/"])
def test_with_and_without_a_slash(bob_in: Person, website: str, slash: str) -> None:
    for path in ("/websites", "/websites/new", *(f"{PAGE}{each}".rstrip("/") for each in TABS)):
        assert bob_in.get(path + slash).status_code == 200, path


# The list


def test_the_list_shows_state_address_and_certificate(bob_in: Person, website: str) -> None:
    text = bob_in.get("/websites/").text
    assert f'href="/websites/{DOMAIN}' in text
    assert "Running" in text
    assert bob_in.platform.config.site_url(DOMAIN) in text
    assert "The platform&#x27;s" in text


def test_an_empty_list_invites(operator_in: Person, website: str) -> None:
    assert "Nothing here yet" in operator_in.get("/websites/").text
    assert "No name of yours holds" in operator_in.get("/websites/?q=nowhere").text


def test_search_and_pages(bob_in: Person, website: str) -> None:
    assert DOMAIN in bob_in.get("/websites/?q=PAGES-").text
    assert DOMAIN not in bob_in.get("/websites/?q=nothing-like-it").text
    for page in ("0", "-1", "999", "x", ""):
        assert bob_in.get(f"/websites/?page={page}").status_code == 200
    hostile = bob_in.get("/websites/", params={"q": HOSTILE})
    assert hostile.status_code == 200
    assert HOSTILE not in hostile.text


# A new website


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("free-bob.localhost", "free-bob.localhost is free."),
        (DOMAIN, f"{DOMAIN} is one of your own websites already."),
        ("demo.localhost", "Under localhost your websites can be bob.localhost or anything-bob.localhost."),
        (HOSTILE, "letters, digits and dashes"),
        ("*.test", "A wildcard"),
        ("192.0.2.1", "An IP address"),
        ("", "or a domain of your own"),
    ],
)
def test_the_name_is_judged_while_it_is_typed(bob_in: Person, website: str, typed: str, said: str) -> None:
    answer = bob_in.get("/websites/new/name/", params={"domain_name": typed})
    assert answer.status_code == 200
    assert said in html.unescape(answer.text)
    assert HOSTILE not in answer.text


def test_the_command_follows_name_and_framework_until_it_is_edited(bob_in: Person) -> None:
    def command(**given: str) -> str:
        text = bob_in.post("/websites/new/recipe/", given, form="/websites/new/").text
        found = re.search(r"<textarea[^>]*>(.*?)</textarea>", text, re.DOTALL)
        assert found
        return html.unescape(found[1])

    first = command(framework="fastapi", domain_name="shop-bob.localhost")
    assert first.startswith("/home/bob/.virtualenvs/my_shop_bob/bin/uvicorn --uds $DOMAIN_SOCKET")
    second = command(framework="flask", domain_name="shop-bob.localhost", command=first, filled_in=first)
    assert "gunicorn" in second
    own = command(framework="node", domain_name="x-bob.localhost", command="my own", filled_in=second)
    assert own == "my own"


def test_no_link_fills_in_a_command(bob_in: Person) -> None:
    text = bob_in.get("/websites/new/?command=evil&filled_in=&framework=django&domain_name=evil.test").text
    assert "evil" not in text
    assert "django-admin startproject" in text


def test_without_javascript_it_is_created_seen_and_deleted(bob_in: Person, bob: Account) -> None:
    domain = "made-bob.localhost"
    bob.write("plain.py", PLAIN)
    shown = bob_in.post("/websites/new/", {"domain_name": domain, "framework": "flask", "show": "yes"})
    assert shown.status_code == 200
    assert "my_made_bob.main:app" in shown.text
    page = bob_in.sent("/websites/new/", {"domain_name": domain, "framework": "own", "command": COMMAND})
    assert f"{domain} is there, and serves." in page
    assert bob_in.platform.visit(domain).json()["version"] == "one"
    assert "Leading visitors to it" in page  # the steps of its start
    wrong = bob_in.post(f"/websites/{domain}/delete/", {"confirmed": "made-alice.localhost"})
    assert wrong.status_code == 422
    assert "Nothing was deleted" in wrong.text
    assert f"{domain} is deleted." in bob_in.sent(f"/websites/{domain}/delete/", {"confirmed": domain})
    assert bob.call("GET", f"{domain}/").status_code == 404


def test_all_settings_can_be_given_at_once(bob_in: Person, bob: Account) -> None:
    domain = "settings-bob.localhost"
    wanted = {
        "domain_name": domain, "framework": "own", "command": COMMAND, "disabled": "yes", "stop_first": "yes",
        "health_path": "/health", "health_status": "204", "health_seconds": "2.5", "force_https": "yes",
        "hsts_seconds": "own", "hsts_own": "12345",
    }  # fmt: skip
    wrong = bob_in.post("/websites/new/", {**wanted, "health_path": "health"})
    assert (wrong.status_code, "Give a path such as /health" in wrong.text) == (422, True)
    assert 'value="12345"' in wrong.text
    wrong = bob_in.post("/websites/new/", {**wanted, "hsts_own": "x"})
    assert (wrong.status_code, "A valid integer is required." in wrong.text) == (422, True)
    try:
        assert "is there, disabled: enable it to start it." in bob_in.sent("/websites/new/", wanted)
        made = bob.get(domain)
        assert made["enabled"] is False
        webapp = made["webapp"]
        assert (webapp["stop_first"], webapp["health_path"], webapp["health_status"]) == (True, "/health", 204)
        assert (webapp["health_seconds"], webapp["force_https"], webapp["hsts_seconds"]) == (2.5, True, 12345)
    finally:
        bob.delete(domain)


def test_a_creation_that_fails_says_why_at_its_field(bob_in: Person, bob: Account) -> None:
    for data, said in (
        ({"domain_name": "alice.localhost", "command": "true"}, "Under localhost your websites can be"),
        ({"domain_name": "", "command": "true"}, "This field may not be blank."),
        ({"domain_name": "blank-bob.localhost", "command": " "}, "This field may not be blank."),
        ({"domain_name": "null-bob.localhost", "command": "a\0b"}, "Null characters are not allowed."),
    ):
        answer = bob_in.post("/websites/new/", {"framework": "own", **data})
        assert answer.status_code == 422, data
        assert said in html.unescape(answer.text)
        assert 'role="alert"' in answer.text or 'class="error"' in answer.text
    assert bob.call("GET", "blank-bob.localhost/").status_code == 404


def test_a_website_that_does_not_come_up_shows_cause_and_evidence(bob_in: Person, bob: Account) -> None:
    domain = "broken-bob.localhost"
    bob.write("broken.py", "raise ValueError('no such luck')\n")
    command = "/usr/bin/python3 broken.py"
    try:
        page = bob_in.sent("/websites/new/", {"domain_name": domain, "framework": "own", "command": command})
        assert "is there, but does not serve yet." in page
        wait_for(lambda: "no such luck" in bob_in.get(f"/websites/{domain}/").text)
        part = html.unescape(bob_in.get(f"/websites/{domain}/steps/").text)
        assert "ValueError: no such luck" in part
        assert "Read the error log" in part
    finally:
        bob.delete(domain)


def test_htmx_is_led_to_the_steps_and_asks_until_it_serves(bob_in: Person, bob: Account) -> None:
    domain = "quick-bob.localhost"
    bob.write("plain.py", PLAIN)
    answer = bob_in.post(
        "/websites/new/", {"domain_name": domain, "framework": "own", "command": COMMAND}, headers=HTMX
    )
    try:
        assert answer.status_code == 204
        target = answer.headers["HX-Redirect"]
        assert target == f"/websites/{domain}?watch=1"
        assert bob_in.get(target).status_code == 200
        wait_for(lambda: "hx-trigger" not in bob_in.get(f"/websites/{domain}/steps/?generation=1", headers=HTMX).text)
        part = bob_in.get(f"/websites/{domain}/steps/?generation=1").text
        steps = re.findall(r'<li class="(\w+)"><span>([^<]+)', part)
        assert [name for _, name in steps] == [
            "Waiting for its turn",
            "Making the sandbox and starting the command",
            "Waiting until it accepts on $DOMAIN_SOCKET",
            "Leading visitors to it",
        ]
        assert {how for how, _ in steps} == {"done"}
        bob.write("plain.py", newer(PLAIN))
        reloaded = bob_in.post(
            f"/websites/{domain}/reload/", form=f"/websites/{domain}/", headers={**HTMX, "HX-Target": "progress"}
        )
        assert reloaded.status_code == 200
        assert 'hx-trigger="load delay:300ms' in reloaded.text
        assert "generation=2" in reloaded.text
        wait_for(lambda: bob_in.platform.visit(domain).json()["version"] == "the newer one")
    finally:
        bob.delete(domain)


def test_an_error_is_shown_to_htmx_too(bob_in: Person) -> None:
    answer = bob_in.post("/websites/new/", {"domain_name": "x", "command": "true"}, headers=HTMX)
    assert answer.status_code == 200  # htmx shows no other
    assert "at least two parts" in html.unescape(answer.text)


# One website


def test_what_was_counted_is_drawn_with_a_table_behind_each_chart(bob_in: Person, bob: Account) -> None:
    """A website that is off and was never visited has nothing; one that was visited has the same in every period."""
    domain = "drawn-bob.localhost"
    wanted = {"domain_name": domain, "enabled": False, "webapp": {"command": COMMAND}}
    number = bob.call("POST", json=wanted).json()["id"]
    page = f"/websites/{domain}/"
    try:
        assert "Nothing was counted in this time." in bob_in.get(page).text
        now = int(time.time())
        metrics.add(bob.platform.config, number, Sample(FINE.begin(now - 60), 10, (0, 30, 0, 10, 5)), again=False)
        for period in ("hour", "day", "week", "month"):
            text = bob_in.get(page, params={"period": period}).text
            assert "Nothing was counted" not in text
            assert text.count('<svg class="chart-svg"') == text.count("<summary>As a table") == 7
            headers = re.findall(r'<th scope="col">([^<]+)', text)
            assert headers[:4] == ["Time (UTC)", "2xx", "4xx", "5xx"]
            assert re.search(r'<th scope="row">[^<]+<td>3/s<td>1/s<td>0.5/s', text)
    finally:
        bob.delete(domain)


def test_reload_disable_enable(bob_in: Person, bob: Account, website: str) -> None:
    assert "The new process serves." in bob_in.sent(PAGE + "reload/", form=PAGE)
    page = bob_in.sent(PAGE + "enabled/", {"enabled": "no"}, form=PAGE)
    assert "is disabled: visitors see a page that says so." in page
    assert "Disabled" in page
    assert status(bob, DOMAIN) == "disabled"
    assert "so there is nothing to reload" in bob_in.sent(PAGE + "reload/", form=PAGE)
    assert "is enabled, and serves." in bob_in.sent(PAGE + "enabled/", {"enabled": "yes"}, form=PAGE)
    assert status(bob, DOMAIN) == "running"


def test_a_reload_that_fails_says_why_and_the_old_process_serves(bob_in: Person, bob: Account, website: str) -> None:
    bob.write("plain.py", "raise ValueError('a bad day')\n")
    try:
        page = bob_in.sent(PAGE + "reload/", form=PAGE)
        assert "The new process does not serve: It exited with code 1" in page
        assert "ValueError: a bad day" in page
        assert "the process before it still serves" in page
        assert bob_in.platform.visit(DOMAIN).status_code == 200
    finally:
        bob.write("plain.py", PLAIN)
        assert "The new process serves." in bob_in.sent(PAGE + "reload/", form=PAGE)


SETTINGS = {"command": COMMAND, "health_path": "", "health_status": "200", "health_seconds": "30"}


def test_a_preview_changes_nothing(bob_in: Person, bob: Account, website: str) -> None:
    before = bob.get(DOMAIN)
    preview = {**SETTINGS, "command": HOSTILE, "health_path": "/health", "stop_first": "yes", "preview": "yes"}
    answer = bob_in.post(PAGE + "command/", preview)
    assert answer.status_code == 200
    text = html.unescape(answer.text)
    assert "What would change" in text
    assert "ends before the new one starts" in text
    assert HOSTILE not in answer.text
    assert bob.get(DOMAIN) == before
    same = bob_in.post(PAGE + "command/", {**SETTINGS, "preview": "yes"})
    assert "Nothing would change" in same.text


def test_the_command_and_the_health_check(bob_in: Person, bob: Account, website: str) -> None:
    checked = {**SETTINGS, "health_path": "/health", "health_seconds": "2.5", "stop_first": "yes"}
    assert "Saved. It counts from the next start" in bob_in.sent(PAGE + "command/", checked)
    webapp = bob.get(DOMAIN)["webapp"]
    assert (webapp["health_path"], webapp["health_seconds"], webapp["stop_first"]) == ("/health", 2.5, True)
    assert "The new process serves." in bob_in.sent(PAGE + "reload/", form=PAGE)
    steps = bob_in.get(PAGE).text
    assert "Ending the old process" in steps
    assert "Health check: GET /health" in steps
    for name, value, said in (
        ("health_path", "health", "Give a path such as /health"),
        ("health_status", "99", "greater than or equal to 100"),
        ("health_seconds", "x", "A valid number is required."),
        ("command", "", "may not be blank"),
    ):
        answer = bob_in.post(PAGE + "command/", {**checked, name: value})
        assert (answer.status_code, said in answer.text) == (422, True), name
    other = f"{COMMAND} --again"
    changed = bob_in.sent(PAGE + "command/", {**SETTINGS, "command": other})
    assert "The command is changed, and the new process serves." in changed
    assert bob.get(DOMAIN)["webapp"]["command"] == other
    bob_in.sent(PAGE + "command/", SETTINGS)


def test_a_command_of_several_lines(bob_in: Person, bob: Account) -> None:
    """Browsers end lines with CRLF, which a shell would take for a part of the word."""
    domain = "lines-bob.localhost"
    sent = {"command": "cd app\r\nuvicorn app:app"}
    bob_in.sent("/websites/new/", {**sent, "domain_name": domain, "framework": "own", "disabled": "yes"})
    try:
        assert bob.get(domain)["webapp"]["command"] == "cd app\nuvicorn app:app"
        same = bob_in.post(f"/websites/{domain}/command/", {**SETTINGS, **sent})
        assert (same.status_code, "Nothing would change" in same.text) == (200, True)
    finally:
        bob.delete(domain)


def test_domains_are_added_redirected_and_removed(bob_in: Person, bob: Account, website: str) -> None:
    here = PAGE + "domains/"
    page = bob_in.sent(here, {"do": "add", "domain_name": "other-bob.localhost", "redirect": "yes"})
    assert "other-bob.localhost is added." in page
    assert bob_in.platform.visit("other-bob.localhost").status_code == 308
    page = bob_in.sent(here, {"do": "redirect", "domain": "other-bob.localhost", "redirect": "no"})
    assert "serves the website now" in page
    assert bob_in.platform.visit("other-bob.localhost").status_code == 200
    for name, said in (
        ("alice.localhost", "Under localhost"),
        (DOMAIN, "belongs to a website already"),
        ("x y", "letters, digits and dashes"),
    ):
        answer = bob_in.post(here, {"do": "add", "domain_name": name})
        assert (answer.status_code, said in html.unescape(answer.text)) == (422, True), name
    main = bob_in.post(here, {"do": "remove", "domain": DOMAIN})
    assert (main.status_code, "Delete that instead." in main.text) == (422, True)
    assert bob_in.post(here, {"do": "remove", "domain": "alice.localhost"}).status_code == 404
    assert bob_in.post(here, {"do": "nonsense"}).status_code == 422
    other = "/websites/other-bob.localhost/domains/"
    page = bob_in.sent(here, {"do": "main", "domain": "other-bob.localhost"}, form=here)
    assert "other-bob.localhost is the main domain now." in page
    assert [bob_in.platform.visit(name).status_code for name in ("other-bob.localhost", DOMAIN)] == [200, 200]
    wait_for(lambda: '"GET / ' in bob.log("other-bob.localhost", "access"), 10, "the log under its new name")
    bob_in.sent(other, {"do": "main", "domain": DOMAIN})
    page = bob_in.sent(here, {"do": "remove", "domain": "other-bob.localhost"})
    assert "other-bob.localhost is removed." in page
    assert bob_in.platform.visit("other-bob.localhost").status_code == 404


def test_a_custom_domain_shows_its_record_and_is_looked_up(bob_in: Person, bob: Account, website: str) -> None:
    here, name = PAGE + "domains/", "www.pages-bob.test"
    page = bob_in.sent(here, {"do": "add", "domain_name": name})
    number = bob.get(DOMAIN)["id"]
    assert f"webapp-{number}.localhost" in page
    assert "CNAME" in page
    checked = bob_in.post(here, {"do": "check", "domain": name})
    assert checked.status_code == 303
    order = bob_in.post(here, {"do": "order", "domain": name})
    assert order.status_code == 422  # its DNS does not lead here
    bad = bob_in.post(here, {"do": "upload", "domain": name, "cert": HOSTILE, "private_key": "geheim"})
    assert bad.status_code == 422
    assert HOSTILE not in bad.text
    assert "geheim" not in bad.text
    pasted = "-----BEGIN RSA PRIVATE KEY-----\ngeheim\n-----END RSA PRIVATE KEY-----\n"
    bad = bob_in.post(here, {"do": "upload", "domain": name, "cert": pasted, "private_key": pasted})
    assert (bad.status_code, "geheim" in bad.text) == (422, False)
    long = bob_in.post(here, {"do": "upload", "domain": name, "cert": "x" * 100_001, "private_key": "geheim"})
    assert (long.status_code, "no more than 100000 characters" in long.text) == (422, True)
    assert bob_in.post(here, {"do": "delete_certificate", "domain": name}).status_code == 422
    bob_in.sent(here, {"do": "remove", "domain": name})


def test_anothers_domain_is_proved_by_a_record(alice_in: Person, bob_in: Person, alice: Account, website: str) -> None:
    name = "shop.pages-bob.test"
    bob_in.sent(PAGE + "domains/", {"do": "add", "domain_name": name})
    answer = alice_in.post("/websites/new/", {"domain_name": name, "framework": "own", "command": "true"})
    assert answer.status_code == 422
    assert f"_hereabouts-challenge.{name}" in answer.text
    said = alice_in.get("/websites/new/name/", params={"domain_name": name}).text
    assert "a DNS record can prove that" in said
    assert "bob" not in said.replace(name, "")
    bob_in.sent(PAGE + "domains/", {"do": "remove", "domain": name})


def test_https_by_force(bob_in: Person, bob: Account, website: str) -> None:
    here = PAGE + "domains/"
    assert "Visitors are sent to HTTPS." in bob_in.sent(
        here, {"do": "https", "force_https": "yes", "hsts_seconds": "86400"}
    )
    assert bob_in.platform.visit(DOMAIN).status_code == 301
    webapp = bob.get(DOMAIN)["webapp"]
    assert (webapp["force_https"], webapp["hsts_seconds"]) == (True, 86400)
    for wrong in ({"hsts_seconds": "1000000000"}, {"hsts_seconds": "own", "hsts_own": "a day"}):
        answer = bob_in.post(here, {"do": "https", **wrong})
        assert (answer.status_code, "Give a number of seconds from 0 to 63072000." in answer.text) == (422, True)
    bob_in.sent(here, {"do": "https", "hsts_seconds": "own", "hsts_own": "7"})
    assert bob.get(DOMAIN)["webapp"]["hsts_seconds"] == 7
    assert 'value="7"' in bob_in.get(here).text
    bob_in.sent(here, {"do": "https", "hsts_seconds": "0"})
    assert bob_in.platform.visit(DOMAIN).status_code == 200


def test_a_hostile_command_is_only_text(bob_in: Person, bob: Account) -> None:
    domain = "hostile-bob.localhost"
    command = f"echo {HOSTILE} \"'&amp; </textarea></code><img src=x onerror=alert(1)>; {COMMAND}"
    bob.call("POST", json={"domain_name": domain, "enabled": False, "webapp": {"command": command}})
    try:
        for each in TABS:
            text = bob_in.get(f"/websites/{domain}/{each}").text
            assert HOSTILE not in text
            assert "<img" not in text.replace('<img src="/static/', "")
        assert command in html.unescape(bob_in.get(f"/websites/{domain}/command/").text)
    finally:
        bob.delete(domain)


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def test_pages_keep_to_the_policy(anyone: Person, bob_in: Person, operator_in: Person, website: str) -> None:
    own = ["/websites/", "/websites/new/", *(PAGE + each for each in TABS)]
    account = [f"/account/{each}/" for each in ("token", "password", "sessions", "two-factor")]
    platform = [
        f"/operator/{each}" for each in ("", "accounts/", "accounts/bob/", "websites/", "certificates/", "audit/")
    ]
    pages = [(anyone, "/sign-in/", 200), (anyone, "/api/docs/", 200), (bob_in, "/nothing/", 404)]
    pages += [(bob_in, path, 200) for path in own + account] + [(operator_in, path, 200) for path in platform]
    for who, path, code in pages:
        answer = who.get(path)
        assert (answer.status_code, answer.headers["Content-Security-Policy"]) == (code, POLICY), path
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", answer.text), path
    for path in own:
        assert "no-store" in bob_in.get(path).headers["Cache-Control"]
    large = bob_in.session.post(f"{bob_in.platform.api}/websites/new/", data=b"x" * 1_100_000, timeout=60)
    assert (large.status_code, large.headers["Content-Security-Policy"]) == (413, POLICY)
    assert "That was too much" in large.text


def test_each_tab_has_its_title(bob_in: Person, website: str) -> None:
    titles = [re.findall("<title>([^<]+)", bob_in.get(PAGE + each).text)[0] for each in TABS]
    assert titles[0] == f"Overview · {DOMAIN} · Hereabouts"
    assert len(set(titles)) == len(TABS)


def test_only_what_is_new_is_sent_again(bob_in: Person, website: str) -> None:
    """A poll that has all parts gets none of them; one that has other ones gets these."""
    whole = bob_in.get(PAGE + "steps/").text
    assert whole.count("hx-swap-oob") == 2
    marks = [f"{crc32(text.encode()):08x}" for text in re.findall(r'hx-swap-oob="true">(.*?)</div>\n', whole, re.S)]
    assert bob_in.get(PAGE + "steps/", params={"known": ".".join(marks)}).text == ""
    assert bob_in.get(PAGE + "steps/", params={"known": marks[0]}).text.count("hx-swap-oob") == 1


def test_a_page_while_control_is_away(anyone: Person) -> None:
    """Killed, and not started again before `up` goes on."""
    place = anyone.platform
    assert place.process
    up, control = psutil.Process(place.process.pid), psutil.Process(place.pids()["control"])
    up.suspend()
    try:
        control.kill()
        wait_for(lambda: anyone.get("/sign-in/").status_code == 503)
        for path, kind in (("/websites/", "text/html"), ("/api/v1/user/bob/websites/", "application/json")):
            answer = anyone.get(path)
            assert (answer.status_code, answer.headers["Content-Type"], answer.headers["Retry-After"]) == (
                503,
                kind,
                "2",
            )
            assert "starting" in answer.text
    finally:
        up.resume()
    wait_for(lambda: anyone.get("/sign-in/").status_code == 200, 60, "control is started again")


def test_pages_without_a_supervisor(bob_in: Person, website: str) -> None:
    """What is stored can be read and changed; what only the supervisor knows is said to be missing."""
    supervisor = psutil.Process(bob_in.platform.pids()["supervisor"])
    supervisor.suspend()
    try:
        assert bob_in.get("/websites/").status_code == 200
        logs = bob_in.get(PAGE + "logs/")
        assert logs.status_code == 200
        assert "The supervisor is not answering" in logs.text
        assert bob_in.get(PAGE).status_code == 200
    finally:
        supervisor.resume()
