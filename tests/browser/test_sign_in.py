"""Signing in and out in a browser, with and without JavaScript."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Browser, expect

from tests.browser.conftest import PASSWORD, Visitor, visitor
from tests.platform import Account, Platform


def test_sign_in_and_out(browser: Browser, running: Platform, alice: Account, way: dict[str, Any]) -> None:
    with visitor(browser, running, **way) as window:
        page = window.open("/websites/new/")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_label("Name").fill("Alice")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("do not belong together")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/websites/new/")  # where she wanted to go
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(re.compile(r"/sign-in/?$"))
        window.open("/websites/")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_no_other_site_is_signed_in_to(window: Visitor) -> None:
    page = window.open("/sign-in/?next=https://evil.example/")
    assert page.url.rstrip("/").endswith("/websites"), page.url
