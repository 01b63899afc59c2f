"""What a browser shows when something is amiss: answers that fail, a website that is gone, names that are code."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from tests.authority import certificate, key_pem, new_key, pem
from tests.browser.conftest import PHONE, Visitor, visitor
from tests.integration.sites import site
from tests.platform import Account, Platform, wait_for

DOMAIN = "troubles-alice.localhost"
CODE = "<img src=x onerror=\"document.title='taken'\"><script>alert('taken')</script>"


@pytest.fixture(scope="module")
def website(alice: Account) -> Iterator[str]:
    """Alice's website, with a command that is code for browsers; it has no process."""
    with site(alice, f'"><{CODE}</textarea>{CODE}', DOMAIN, enabled=False):
        yield DOMAIN


def _forgive(window: Visitor) -> None:
    """What htmx could not get it writes to the console, as it should here."""
    expected = ("Response Status Error Code", "htmx:")
    window.complaints[:] = [said for said in window.complaints if not said.startswith(expected)]


def test_an_answer_that_fails_is_told(window: Visitor) -> None:
    page = window.open("/websites/new/")
    trouble = page.locator("#trouble")
    failures = {
        503: "The platform can't do that now", 403: "open for too long", 500: "on our side", 429: "Wait a minute",
    }  # fmt: skip
    for (status, said), framework in zip(failures.items(), ("Flask", "Django", "Node", "Starlette"), strict=True):
        page.route("**/websites/new/recipe", lambda route, _, code=status: route.fulfill(status=code), times=1)
        page.get_by_label(framework).check()
        expect(trouble).to_contain_text(said)
    page.route("**/websites/new/recipe", lambda route: route.abort(), times=1)
    page.get_by_label("Quart").check()
    expect(trouble).to_contain_text("The platform gave no answer")
    window.accessible()
    trouble.get_by_role("link", name="Load the page again").click()
    expect(page.locator("#trouble .notice")).to_have_count(0)
    _forgive(window)


def test_a_page_that_looks_again_goes_on_when_it_can_and_ends_when_all_is_gone(window: Visitor, alice: Account) -> None:
    domain = "vanishing-alice.localhost"
    alice.create("true", domain, enabled=False)
    page = window.open(f"/websites/{domain}/")
    steps = re.compile("/steps")
    try:
        page.route(steps, lambda route: route.abort())
        page.get_by_role("button", name="Enable").click()
        expect(page.locator("#trouble")).to_contain_text("It is asked again by itself.")
        page.unroute(steps)
        expect(page.locator("#trouble .notice")).to_have_count(0)
        page.route(steps, lambda route: route.abort())
        page.get_by_role("button", name="Reload").click()
        expect(page.locator("#trouble")).to_contain_text("It is asked again by itself.")
    finally:
        alice.delete(domain)
    page.unroute(steps)
    expect(page.locator("#trouble")).to_contain_text("What this page shows is gone")
    expect(page.locator("[data-again]")).to_have_count(0)
    page.get_by_role("link", name="To your websites").click()
    page.wait_for_url(re.compile(r"/websites/?$"))
    _forgive(window)


def test_an_order_shows_that_it_is_under_way(window: Visitor, website: str) -> None:
    page = window.open(f"/websites/{website}/domains")
    held: list[Route] = []
    page.route(re.compile(r"/domains/?$"), lambda route: held.append(route))
    button = page.get_by_role("button", name="Order a certificate")
    button.click()
    expect(page.get_by_text("Asking the authority")).to_be_visible()
    expect(button).to_be_disabled()
    held[0].abort()
    expect(page.locator("#trouble")).to_contain_text("The platform gave no answer")
    expect(button).to_be_enabled()
    _forgive(window)


def test_what_has_the_focus_keeps_it_while_the_page_goes_on(window: Visitor, alice: Account) -> None:
    domain = "focus-alice.localhost"
    with site(alice, "exit 3", domain):
        wait_for(lambda: alice.get(domain)["state"]["status"] == "crashed", 60)
        page = window.open(f"/websites/{domain}/")
        link = page.locator("#to-log")
        link.focus()
        asks = f"""document.querySelector("#progress").insertAdjacentHTML("beforeend",
            '<div id="ask" data-again hx-get="/websites/{domain}/steps" hx-trigger="load" hx-swap="outerHTML"></div>');
            document.querySelector("#progress-state").dataset.old = "yes";
            htmx.process(document.querySelector("#ask"))"""
        page.evaluate(asks)
        expect(page.locator("#progress-state[data-old]")).to_have_count(0)
        expect(link).to_be_focused()


def _inert(page: Page, dialogs: list[Dialog]) -> None:
    """No script of others ran, and none of their elements is there."""
    assert page.title() != "taken"
    assert dialogs == []
    assert page.locator("img[src=x]").count() == 0


def test_what_others_wrote_is_only_text(window: Visitor, alice: Account, website: str) -> None:
    page, dialogs = window.page, []
    page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
    window.open("/websites/new/")
    page.get_by_label("Name").fill(f'">{CODE}')
    expect(page.locator("#name-said")).to_have_class(re.compile("error"))
    page.get_by_label("Command of the website").fill("true")
    page.get_by_role("button", name="Create the website").click()
    expect(page.get_by_label("Name")).to_have_value(f'">{CODE}')
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    _inert(page, dialogs)

    domains = f"/websites/{website}/domains/"
    window.open(domains)
    page.get_by_label("Name").fill(f'">{CODE}')
    page.get_by_role("button", name="Add the domain").click()
    expect(page.get_by_label("Name")).to_have_value(f'">{CODE}')
    expect(page.locator("#add-problem")).to_be_visible()
    _inert(page, dialogs)

    key = new_key()
    page.get_by_text("Upload your own").click()
    page.get_by_label("Certificate and chain").fill(pem(certificate(CODE[:60], CODE[:60], key, key, names=(website,))))
    page.get_by_label("Its private key").fill(key_pem(key))
    page.get_by_role("button", name="Use this certificate").click()
    expect(page.locator(".facts").get_by_text(CODE[:60])).to_be_visible()
    _inert(page, dialogs)

    for path in (f"/websites/{website}/", f"/websites/{website}/command/"):
        window.open(path)
        expect(page.get_by_text("onerror", exact=False).first).to_be_visible()
        _inert(page, dialogs)


def test_nothing_lies_beside_a_phone_s_screen(browser: Browser, running: Platform, operator: str, website: str) -> None:
    outside = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary, td, h1, h2")]
        .filter((each) => each.checkVisibility() && !each.closest(".visually-hidden, .skip, .chart-table"))
        .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 || each.getBoundingClientRect().left < -1)
        .map((each) => each.outerHTML.slice(0, 100))"""
    with visitor(browser, running, viewport=PHONE) as window:
        window.sign_in(operator)
        own = [f"/websites/{website}/{tab}" for tab in ("", "command", "domains", "logs", "delete")]
        platform = [
            f"/operator/{page}" for page in ("", "accounts", "accounts/alice", "websites", "certificates", "audit")
        ]
        account = [f"/account/{page}" for page in ("token", "password", "sessions", "two-factor")]
        for path in ["/websites/new/", *own, *platform, *account]:
            assert window.open(path).evaluate(outside) == [], path


def test_the_reference_of_the_api_runs_under_the_policy(window: Visitor) -> None:
    page = window.open("/api/docs/")
    expect(page.locator("#swagger-ui .opblock").first).to_be_visible()
