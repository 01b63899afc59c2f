"""The account's pages and the operator's in a browser: usable on a phone, by keyboard, by a screen reader."""

from __future__ import annotations

import re

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, PASSWORD, PHONE, Visitor, visitor
from tests.platform import Platform

ACCOUNT = ["/account/token/", "/account/password/", "/account/sessions/", "/account/two-factor/"]
OPERATOR = [
    "/operator/", "/operator/accounts/", "/operator/accounts/alice/", "/operator/websites/", "/operator/certificates/",
    "/operator/audit/",
]  # fmt: skip


@pytest.fixture(scope="module")
def nina(running: Platform) -> str:
    """An account of these tests alone."""
    running.cli("user", "add", "nina", "--password-stdin", input=f"{PASSWORD}\n")
    return "nina"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_is_for_everybody(
    browser: Browser, running: Platform, operator: str, scheme: str, size: dict[str, int]
) -> None:
    with visitor(browser, running, color_scheme=scheme, viewport=size) as window:
        window.sign_in(operator)
        for path in ACCOUNT + OPERATOR:
            window.open(path)
            window.fits()
            window.accessible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_an_api_token(browser: Browser, running: Platform, nina: str, script: bool) -> None:
    with visitor(browser, running, java_script_enabled=script) as window:
        window.sign_in(nina)
        page = window.open("/account/token/")
        page.get_by_role("button", name=re.compile("Create a new API token|Revoke the token")).click()
        if page.get_by_role("button", name="Revoke and renew").is_visible():
            page.get_by_role("button", name="Revoke and renew").click()
        token = page.locator("#token").inner_text()
        assert re.fullmatch("[0-9a-f]{40}", token)
        expect(page.locator("#exports")).to_contain_text(f"export API_TOKEN={token}")
        if script:
            window.accessible()
            window.context.grant_permissions(["clipboard-read", "clipboard-write"])
            page.get_by_role("button", name="Copy the token").click()
            assert page.evaluate("navigator.clipboard.readText()") == token


def test_a_second_factor(browser: Browser, running: Platform, nina: str) -> None:
    with visitor(browser, running) as window, visitor(browser, running, viewport=PHONE) as phone:
        window.sign_in(nina)
        page = window.open("/account/two-factor/")
        app = pyotp.TOTP(page.locator("#key").inner_text().replace(" ", ""))
        assert page.get_by_alt_text("QR code of the key").evaluate("image => image.naturalWidth") > 100
        page.get_by_label("Your password").fill(PASSWORD)
        page.get_by_label("Code").fill(app.now())
        page.get_by_role("button", name="Turn it on").click()
        codes = page.locator("#recovery").inner_text().split()
        assert len(codes) == 10
        window.accessible()
        page.get_by_role("link", name="I have kept them").click()
        window.accessible()

        half = _halfway(phone, nina)
        phone.fits()
        phone.accessible()
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


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_suspending_somebody(browser: Browser, running: Platform, operator: str, nina: str, script: bool) -> None:
    with visitor(browser, running, java_script_enabled=script) as window:
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
