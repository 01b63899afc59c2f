"""What is done on the account's pages and the operator's, in a browser."""

from __future__ import annotations

import re
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import FIREFOX, PASSWORD, Visitor, visitor
from tests.platform import Account, Platform


@pytest.fixture(scope="module")
def nina(running: Platform) -> str:
    """An account of these tests alone."""
    running.cli("user", "add", "nina", "--password-stdin", input=f"{PASSWORD}\n")
    return "nina"


def test_an_api_token(browser: Browser, running: Platform, nina: str, way: dict[str, Any]) -> None:
    with visitor(browser, running, **way) as window:
        window.sign_in(nina)
        page = window.open("/account/token/")
        page.get_by_role("button", name=re.compile("Create a new API token|Revoke the token")).click()
        if page.get_by_role("button", name="Revoke and renew").is_visible():
            page.get_by_role("button", name="Revoke and renew").click()
        token = page.locator("#token").inner_text()
        assert re.fullmatch("[0-9a-f]{40}", token)
        expect(page.locator("#exports")).to_contain_text(f"export API_TOKEN={token}")
        if way.get("java_script_enabled", True):
            assert window.copies()[0] == token


def test_a_second_factor(browser: Browser, running: Platform, nina: str, size: dict[str, int]) -> None:
    with visitor(browser, running, viewport=size) as window, visitor(browser, running, viewport=size) as other:
        window.sign_in(nina)
        page = window.open("/account/two-factor/")
        (key,) = window.copies()
        app = pyotp.TOTP(key.replace(" ", ""))
        assert page.get_by_alt_text("QR code of the key").evaluate("image => image.naturalWidth") > 100
        page.get_by_label("Your password").fill(PASSWORD)
        page.get_by_label("Code").fill(app.now())
        page.get_by_role("button", name="Turn it on").click()
        codes = page.locator("#recovery").inner_text().split()
        assert len(codes) == 10
        assert window.copies() == ["\n".join(codes)]
        page.get_by_role("link", name="I have kept them").click()

        half = _halfway(other, nina)
        half.get_by_label("Code").fill("guess")
        half.keyboard.press("Enter")
        expect(half.get_by_role("alert")).to_contain_text("not right")
        half.get_by_label("Code").fill(codes[0])
        half.keyboard.press("Enter")
        half.wait_for_url("**/websites**")

        page.locator("#off-password").fill(PASSWORD)
        page.get_by_role("button", name="Turn the second factor off").click()
        expect(page.get_by_role("status")).to_contain_text("The second factor is off.")


def _halfway(window: Visitor, name: str) -> Page:
    page = window.open("/sign-in/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Your code")).to_be_visible()
    return page


def test_sessions_and_password(browser: Browser, running: Platform, nina: str) -> None:
    with visitor(browser, running) as window, visitor(browser, running, java_script_enabled=False) as other:
        page, there = window.sign_in(nina), other.sign_in(nina)
        window.open("/account/sessions/")
        expect(page.get_by_text("(this one)")).to_be_visible()
        page.get_by_role("button", name="End all other sessions").click()
        expect(page.get_by_role("status")).to_contain_text("All other sessions are ended.")
        other.open("/account/password/")
        expect(there.get_by_role("heading", name="Sign in")).to_be_visible()
        other.sign_in(nina)
        other.open("/account/password/")
        there.get_by_label("Your password").fill("wrong")
        there.get_by_label("New password", exact=True).fill(PASSWORD)
        there.get_by_label("New password, again").fill(PASSWORD)
        there.get_by_role("button", name="Change the password").click()
        expect(there.get_by_text("That is not your password.")).to_be_visible()


def test_one_session_is_ended(browser: Browser, running: Platform, nina: str, size: dict[str, int]) -> None:
    with visitor(browser, running, viewport=size) as window, visitor(browser, running, user_agent=FIREFOX) as other:
        page, there = window.sign_in(nina), other.sign_in(nina)
        window.open("/account/sessions/")
        page.get_by_role("row", name="Firefox 140").get_by_role("button").click()
        expect(page.get_by_role("status")).to_contain_text("is signed out")
        expect(page.get_by_role("row", name="Firefox 140")).to_have_count(0)
        other.open("/account/sessions/")
        expect(there.get_by_role("heading", name="Sign in")).to_be_visible()
        window.open("/account/sessions/")
        expect(page.get_by_role("heading", name="Where you are signed in")).to_be_visible()


def test_another_password(browser: Browser, running: Platform, nina: str, size: dict[str, int]) -> None:
    other = "another horse entirely"
    with visitor(browser, running, viewport=size) as window:
        page = window.page
        for now, then in ((PASSWORD, other), (other, PASSWORD)):
            window.sign_in(nina, now)
            window.open("/account/password/")
            page.get_by_label("Your password").fill(now)
            page.get_by_label("New password", exact=True).fill(then)
            page.get_by_label("New password, again").fill(then)
            page.get_by_role("button", name="Change the password").click()
            expect(page.get_by_role("status")).to_contain_text("The password is changed.")
            window.sign_out()


def test_an_account_from_its_making_to_a_new_password(
    browser: Browser, running: Platform, operator: str, size: dict[str, int]
) -> None:
    name = f"quinn{size['width']}"
    with visitor(browser, running, viewport=size) as window, visitor(browser, running, viewport=size) as other:
        window.sign_in(operator)
        page = window.open("/operator/accounts/")
        page.get_by_role("textbox", name="Name", exact=True).fill(name)
        page.get_by_role("button", name="Make the account").click()
        (first,) = window.copies()
        there = other.sign_in(name, first)
        window.open(f"/operator/accounts/{name}/")
        for button in ("Sign out everywhere", "Reset the password"):
            page.get_by_role("button", name=button).click()
            page.get_by_role("button", name=button).click()  # on the page that asks
            page.wait_for_load_state()
        (second,) = window.copies()
        assert second != first
        other.open("/account/token/")
        expect(there.get_by_role("heading", name="Sign in")).to_be_visible()
        other.sign_in(name, second)
        window.open("/operator/audit/")
        page.get_by_label("To what").fill(name)
        page.get_by_label("Kind").select_option("password")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("row").filter(has_text=name)).to_have_count(1)
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("reset the password")


def test_websites_are_sought_among_all(
    browser: Browser, running: Platform, operator: str, alice: Account, size: dict[str, int]
) -> None:
    domain = f"sought{size['width']}-alice.localhost"
    alice.call("POST", json={"domain_name": domain, "enabled": False, "webapp": {"command": "true"}})
    with visitor(browser, running, viewport=size) as window:
        window.sign_in(operator)
        page = window.open("/operator/websites/")
        page.get_by_label("Name or account").fill("sought")
        page.get_by_label("State").select_option("disabled")
        page.get_by_label("Order by").select_option("requests")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("link", name=domain)).to_be_visible()
        expect(page.get_by_role("link", name="demo.localhost")).to_have_count(0)
        page.get_by_role("link", name=domain).click()
        expect(page.get_by_role("heading", name=domain)).to_be_visible()
        expect(page.get_by_text("of alice")).to_be_visible()
    alice.delete(domain)


def test_suspending_somebody(
    browser: Browser, running: Platform, operator: str, nina: str, way: dict[str, Any]
) -> None:
    with visitor(browser, running, **way) as window:
        window.sign_in(operator)
        page = window.open("/operator/accounts/")
        page.get_by_role("link", name=nina, exact=True).click()
        page.get_by_role("button", name="Suspend").click()
        expect(page.get_by_role("heading", name=f"Suspend {nina}?")).to_be_visible()
        page.get_by_role("button", name="Suspend").click()
        expect(page.get_by_role("status")).to_contain_text(f"{nina} is suspended.")
        page.get_by_role("button", name="End the suspension").click()
        page.get_by_role("button", name="End the suspension").click()
        expect(page.get_by_role("status")).to_contain_text("suspended no more")


def test_the_platform_is_seen_to_be_well(browser: Browser, running: Platform, operator: str) -> None:
    with visitor(browser, running) as window:
        window.sign_in(operator)
        page = window.open("/operator/")
        for name in ("up", "nginx", "control", "supervisor", "certificates"):
            row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))
            expect(row).to_contain_text("running")
            expect(row).to_contain_text("MB")
        expect(page.get_by_text("nginx/")).to_be_visible()
        window.open("/operator/certificates/")
        expect(page.get_by_role("cell", name="local", exact=True).first).to_be_visible()
