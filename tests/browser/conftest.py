"""A real Chromium that visits the dashboard of the running platform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from hereabouts.sandbox import network
from tests.platform import Account, Platform

CHROMIUM = Path("/usr/bin/chromium")
PASSWORD = "correct horse battery staple"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PATIENCE = 20_000
"""Milliseconds that a page may take to become as it is expected, on a machine that is busy."""
expect.set_options(timeout=PATIENCE)
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 740}
# What can be focused, such as the region of a chart's table, is moved by the keyboard. Fields scroll their own text.
_TOO_WIDE = """() => [...document.querySelectorAll("html, body *")].filter((each) => {
  const hides = each === document.documentElement || getComputedStyle(each).overflowX !== "visible";
  return hides && each.tabIndex < 0 && each.clientWidth > 1 && each.scrollWidth > each.clientWidth;
}).map((each) => `${each.tagName} ${each.className}: ${each.scrollWidth} in ${each.clientWidth} px`)"""


@contextmanager
def chromium(platform: Platform) -> Iterator[Browser]:
    """Debian's Chromium in a network of its own, from which the platform is reached as from a sandbox.

    On this machine's network it would cut its requests short whenever a sandbox comes or goes (ERR_NETWORK_CHANGED).
    As root it has no sandbox of its own.
    """
    assert CHROMIUM.exists(), "chromium is not installed: `make test` installs it"
    launcher = platform.directory / "chromium"
    arguments = [f"--host-resolver-rules=MAP * {network.gateway(platform.config)}", "--no-sandbox"]
    with network.namespace(platform.config) as place, sync_playwright() as playwright:
        launcher.write_text(f'#!/bin/sh\nexec nsenter --net={place} {CHROMIUM} "$@"\n', encoding="utf-8")
        launcher.chmod(0o755)
        browser = playwright.chromium.launch(executable_path=str(launcher), args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser(running: Platform) -> Iterator[Browser]:
    """One for a file of tests: while it is there this thread has an event loop, where Django's models refuse work."""
    with chromium(running) as made:
        yield made


@dataclass
class Visitor:
    """Somebody at a browser."""

    platform: Platform
    context: BrowserContext
    page: Page
    complaints: list[str]

    def open(self, path: str) -> Page:
        """Open a page of the dashboard."""
        answer = self.page.goto(self.platform.api + path)
        assert answer and answer.status < 500, f"{path}: {answer and answer.status}"
        return self.page

    def sign_in(self, name: str, password: str = PASSWORD) -> Page:
        """Sign in, with the password of every account of the tests."""
        self.open("/sign-in/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(re.compile(r"/websites(/|$)"))
        return self.page

    def sign_out(self) -> None:
        """End the session, as its owner does."""
        self.page.locator("form[action*=sign-out] button").click()
        self.page.wait_for_url(re.compile(r"/sign-in/?$"))

    def copies(self) -> list[str]:
        """Press each button that copies, and see that it did; returns what they copied."""
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        found = []
        for button in self.page.locator("[data-copy]:visible").all():
            source = self.page.locator(str(button.get_attribute("data-copy")))
            self.page.evaluate("navigator.clipboard.writeText('')")
            button.click()
            self.page.wait_for_function("async () => await navigator.clipboard.readText() !== ''")
            found.append(str(self.page.evaluate("navigator.clipboard.readText()")))
            assert found[-1] == source.evaluate("element => element.textContent.trim()")
        return found

    def look(self, scheme: str, size: dict[str, int]) -> None:
        """The same page in another colour scheme, and in a window of another size."""
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        self.page.set_viewport_size(size)

    def accessible(self) -> None:
        """No violation of axe-core's rules on the page as it is."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        found = AxeResults(self.page.evaluate("axe.run(document, {resultTypes: ['violations']})"))
        assert found.violations_count == 0, f"{self.page.url}\n{found.generate_report()}"

    def fits(self) -> None:
        """Nothing is wider than the window, or cut off where no key or visible bar moves it into sight."""
        wide = self.page.evaluate(_TOO_WIDE)
        assert wide == [], f"{self.page.url} at {self.page.viewport_size}"


@contextmanager
def visitor(browser: Browser, platform: Platform, **options: Any) -> Iterator[Visitor]:
    """A browser window of its own. A script or style that is refused, or an error in a script, fails the test."""
    options.setdefault("viewport", DESKTOP)
    context = browser.new_context(ignore_https_errors=True, **options)
    context.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: _note(complaints, message))
    try:
        yield Visitor(platform, context, page, complaints)
    finally:
        context.close()
    assert complaints == []


def _note(complaints: list[str], message: ConsoleMessage) -> None:
    if message.type == "error" and "Failed to load resource" not in message.text:
        complaints.append(message.text)


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def size(request: pytest.FixtureRequest) -> dict[str, int]:
    """The window's: what people do is tried in both."""
    return dict(request.param)


@pytest.fixture(
    params=[{"viewport": DESKTOP}, {"viewport": PHONE}, {"viewport": PHONE, "java_script_enabled": False}],
    ids=["desktop", "phone", "no-script"],
)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The same, and a browser without JavaScript: options of ``visitor``."""
    return dict(request.param)


@pytest.fixture
def window(browser: Browser, running: Platform, alice: Account, size: dict[str, int]) -> Iterator[Visitor]:
    """Alice's browser, signed in."""
    with visitor(browser, running, viewport=size) as made:
        made.sign_in("alice")
        yield made


@pytest.fixture(scope="session")
def operator(running: Platform) -> str:
    """An operator's name."""
    running.cli("user", "add", "olivia", "--operator", "--password-stdin", input=f"{PASSWORD}\n")
    return "olivia"
