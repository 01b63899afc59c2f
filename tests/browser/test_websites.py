"""Websites in a browser: created with its steps, changed, its live log, deleted; for every eye and window."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import PHONE, Visitor, visitor
from tests.browser.furnished import invent
from tests.integration.sites import PLAIN, newer, site
from tests.platform import Account, Platform, wait_for

COMMAND = "/usr/bin/python3 shown.py $DOMAIN_SOCKET"
DOMAIN = "shown-alice.localhost"
PAGE = f"/websites/{DOMAIN}"
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def website(alice: Account) -> Iterator[str]:
    """Alice's website, which serves."""
    alice.write("shown.py", PLAIN)
    with site(alice, COMMAND, DOMAIN) as made:
        assert made["state"]["status"] == "running", made
        invent(alice.platform, made["id"])
        yield DOMAIN


def append(alice: Account, text: str) -> None:
    with (alice.platform.config.logs / alice.name / f"{DOMAIN}.error.log").open("a", encoding="utf-8") as log:
        log.write(text)


def test_a_new_website_from_its_framework_to_its_first_visitor(window: Visitor, alice: Account) -> None:
    domain = "fresh-alice.localhost"
    alice.write("shown.py", PLAIN)
    page = window.open("/websites/new/")
    page.get_by_label("Name").fill("fresh-bob.localhost")
    expect(page.locator("#name-said")).to_contain_text("Under localhost your websites can be")
    page.get_by_label("Name").fill(domain)
    expect(page.locator("#name-said")).to_have_text(f"{domain} is free.")
    expect(page.get_by_label("Command of the website")).to_have_value(re.compile("my_fresh_alice/bin/uvicorn"))
    page.get_by_label("Flask").check()
    expect(page.get_by_label("Command of the website")).to_have_value(re.compile("my_fresh_alice/bin/gunicorn"))
    expect(page.locator("#recipe-shell")).to_contain_text("pip install flask gunicorn")
    page.get_by_label("Own command").check()
    expect(page.locator("#recipe-shell")).to_have_count(0)
    page.get_by_label("Command of the website").fill(COMMAND)
    page.get_by_role("button", name="Create the website").click()
    try:
        page.wait_for_url(f"**/websites/{domain}?watch=1")
        expect(page.locator("#progress .state")).to_have_text("Running")
        expect(page.locator("#progress")).to_contain_text("The latest start took")
        alice.write("shown.py", newer(PLAIN))
        page.get_by_role("button", name="Reload").click()
        wait_for(lambda: alice.platform.visit(domain).json()["version"] == "the newer one")
        expect(page.locator("#progress")).to_contain_text("The latest start took")
        expect(page.locator("#progress[hx-get]")).to_have_count(0)
        page.get_by_role("link", name="Danger zone").click()
        button = page.get_by_role("button", name=f"Delete {domain}")
        expect(button).to_be_disabled()
        page.get_by_label("To confirm, type").fill(domain)
        button.click()
        page.wait_for_url(re.compile(r"/websites/?$"))
        expect(page.get_by_role("status").first).to_contain_text(f"{domain} is deleted.")
    finally:
        alice.call("DELETE", f"{domain}/")
        alice.write("shown.py", PLAIN)


def test_a_name_typed_while_an_answer_is_on_its_way_counts(window: Visitor) -> None:
    page = window.open("/websites/new/")
    asked = re.compile("/websites/new/recipe")
    held: list[Route] = []
    page.route(asked, lambda route: held.append(route), times=1)
    with page.expect_request(asked):
        page.get_by_label("Name").fill("first-alice.localhost")
    page.get_by_label("Name").fill("second-alice.localhost")
    held[0].continue_()
    expect(page.get_by_label("Command of the website")).to_have_value(re.compile("my_second_alice/bin/uvicorn"))


def test_without_javascript_from_creation_to_deletion(browser: Browser, running: Platform, alice: Account) -> None:
    domain = "plain-alice.localhost"
    alice.write("shown.py", PLAIN)
    with visitor(browser, running, java_script_enabled=False, viewport=PHONE) as window:
        page = window.sign_in("alice")
        page.get_by_role("link", name="New website").first.click()
        page.get_by_label("Name", exact=True).fill(domain)
        page.get_by_label("Node").check()
        page.get_by_role("button", name="Show what to type").click()
        expect(page.get_by_label("Command of the website")).to_have_value("node my_plain_alice/server.js")
        page.get_by_label("Command of the website").fill(COMMAND)
        page.get_by_role("button", name="Create the website").click()
        try:
            expect(page.get_by_role("status").first).to_contain_text(f"{domain} is there, and serves.")
            page.get_by_role("button", name="Reload").click()
            expect(page.get_by_role("status").first).to_contain_text("The new process serves.")
            page.get_by_role("link", name="Websites").click()
            page.get_by_label("Part of a name").fill("plain-")
            page.get_by_role("button", name="Search").click()
            page.get_by_role("link", name=domain, exact=True).click()
            page.get_by_role("link", name="Danger zone").click()
            page.get_by_label("To confirm, type").fill(domain)
            page.get_by_role("button", name=f"Delete {domain}").click()
            expect(page.get_by_role("status").first).to_contain_text(f"{domain} is deleted.")
        finally:
            alice.call("DELETE", f"{domain}/")


def test_a_start_that_fails_shows_why(window: Visitor, alice: Account) -> None:
    domain = "failing-alice.localhost"
    alice.write("failing.py", "raise ValueError('no such luck')\n")
    page = window.open("/websites/new/?framework=own")
    page.get_by_label("Name").fill(domain)
    page.get_by_label("Command of the website").fill("/usr/bin/python3 failing.py")
    page.get_by_role("button", name="Create the website").click()
    try:
        expect(page.locator("#progress")).to_contain_text("ValueError: no such luck")
        page.get_by_role("link", name="Read the error log").click()
        expect(page.locator("#log")).to_contain_text("ValueError: no such luck")
    finally:
        alice.call("DELETE", f"{domain}/")


def test_a_log_is_live_filtered_and_paused(window: Visitor, alice: Account, website: str, size: dict[str, int]) -> None:
    mark = f"at {size['width']}"
    hostile = f"{HOSTILE} {mark}"
    page = window.open(f"{PAGE}/logs/")
    expect(page.locator("#live")).to_have_text("Live")
    append(alice, f"first line {mark}\nsecond ")
    expect(page.get_by_text(f"first line {mark}", exact=True)).to_be_visible()
    append(alice, f"line {mark}\n{hostile}\n")
    expect(page.get_by_text(f"second line {mark}", exact=True)).to_be_visible()
    expect(page.get_by_text(hostile, exact=True)).to_be_visible()
    assert page.title() != "taken"
    page.get_by_label("Only lines that hold").fill("FIRST")
    expect(page.get_by_text(f"second line {mark}", exact=True)).to_be_hidden()
    expect(page.get_by_text(f"first line {mark}", exact=True)).to_be_visible()
    page.get_by_label("Only lines that hold").fill("nothing like it")
    expect(page.locator("#nothing")).to_have_text("No line here holds “nothing like it”.")
    page.get_by_label("Only lines that hold").fill("")
    expect(page.locator("#nothing")).to_be_hidden()
    page.get_by_role("button", name="Pause").click()
    append(alice, f"while it is paused {mark}\n")
    other = window.context.new_page()
    other.goto(f"{window.platform.api}{PAGE}/logs/")
    append(alice, f"and this {mark}\n")
    expect(other.get_by_text(f"and this {mark}")).to_be_visible()
    other.close()
    expect(page.get_by_text(f"while it is paused {mark}")).to_have_count(0)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text(f"while it is paused {mark}")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"{DOMAIN}.error.log"
    assert f"while it is paused {mark}" in download.value.path().read_text()


def test_a_line_goes_on_that_was_begun_before_the_page(
    window: Visitor, alice: Account, website: str, size: dict[str, int]
) -> None:
    append(alice, "half and ")
    page = window.open(f"{PAGE}/logs/")
    expect(page.locator("#live")).to_have_text("Live")
    append(alice, f"half at {size['width']}\n")
    expect(page.get_by_text(f"half and half at {size['width']}", exact=True)).to_be_visible()


def test_a_hostile_line_of_the_past_is_only_text(
    window: Visitor, alice: Account, website: str, size: dict[str, int]
) -> None:
    hostile = f"{HOSTILE} of the past at {size['width']}"
    append(alice, f"{hostile}\n")
    page = window.open(f"{PAGE}/logs/")
    expect(page.get_by_text(hostile, exact=True)).to_be_visible()
    assert page.title() != "taken"


def test_the_command_is_previewed(window: Visitor, website: str) -> None:
    page = window.open(f"{PAGE}/command/")
    page.get_by_label("Health check, a path").fill("/health")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="What would change")).to_be_visible()
    expect(page.get_by_label("Health check, a path")).to_have_value("/health")
    page.get_by_label("Health check, a path").fill("health")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Give a path such as /health")


def test_the_command_is_saved(window: Visitor, alice: Account, website: str, size: dict[str, int]) -> None:
    page = window.open(f"{PAGE}/command/")
    wanted = f"{COMMAND} --for-{size['width']}"
    page.get_by_label("Command", exact=True).fill(wanted)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(f"{PAGE}/?\\?watch="))
    expect(page.locator("#progress")).to_contain_text("The latest start took")
    window.open(f"{PAGE}/command/")
    expect(page.get_by_label("Command", exact=True)).to_have_value(wanted)
    assert wanted.split()[-1] in alice.platform.visit(DOMAIN).json()["one"]


def test_off_and_on(window: Visitor, alice: Account, website: str) -> None:
    page = window.open(f"{PAGE}/")
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("#progress .state")).to_have_text("Disabled")
    assert alice.platform.visit(DOMAIN).status_code == 503
    page.get_by_role("button", name="Enable").click()
    expect(page.locator("#progress .state")).to_have_text("Running")
    assert alice.platform.visit(DOMAIN).status_code == 200


def test_the_traffic_of_another_period_and_its_numbers(window: Visitor, website: str) -> None:
    page = window.open(f"{PAGE}/")
    for period in ("week", "month", "day", "hour"):
        page.get_by_role("link", name=re.compile(f"^{period}$", re.IGNORECASE)).click()
        page.wait_for_url(f"**period={period}*")
        expect(page.locator("[aria-current=true]", has_text=re.compile(period, re.IGNORECASE))).to_be_visible()
    charts = page.locator("figure")
    assert charts.count() >= 6
    for chart in charts.all():
        expect(chart.get_by_role("table")).to_be_hidden()
        chart.locator("summary").click()
        expect(chart.get_by_role("row").nth(1).get_by_role("cell").first).to_be_visible()
    window.fits()


def test_what_is_to_be_typed_is_copied(window: Visitor) -> None:
    window.open("/websites/new/?framework=fastapi")
    shell, file = window.copies()
    assert "pip install fastapi" in shell
    assert "from fastapi import FastAPI" in file


def test_the_list_is_searched_while_typing(window: Visitor, website: str) -> None:
    page = window.open("/websites/")
    expect(page.get_by_role("link", name=DOMAIN, exact=True)).to_be_visible()
    page.get_by_label("Part of a name").fill("nothing like it")
    expect(page.get_by_text("No name of yours holds")).to_be_visible()
    page.get_by_label("Part of a name").fill("shown")
    expect(page.get_by_role("link", name=DOMAIN, exact=True)).to_be_visible()
