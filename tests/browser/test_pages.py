"""Every page in every state, light and dark, on a desktop and a phone: for everybody, and no wider than the window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, chromium, visitor
from tests.browser.furnished import furnished
from tests.browser.states import LOOKS, STATES, Gallery, State, gallery

THOROUGHLY = ("desktop-light", "phone-dark")
"""Looks in which all of axe-core's rules are tried: both colour schemes, both sizes, in half the time of all four."""


@pytest.fixture(scope="module")
def shown() -> Iterator[Gallery]:
    with furnished() as stage, chromium(stage.platform) as browser, gallery(stage, browser) as made:
        yield made


@pytest.mark.parametrize("state", STATES, ids=[state.name for state in STATES])
def test_a_page_is_for_everybody(shown: Gallery, state: State) -> None:
    window = shown.show(state)
    for name, look in LOOKS.items():
        window.look(*look)
        window.fits()
        if name in THOROUGHLY:
            window.accessible()


def test_somebody_makes_an_account(shown: Gallery, size: dict[str, int]) -> None:
    name = f"carol{size['width']}"
    with visitor(shown.browser, shown.stage.platform, viewport=size) as window:
        page = window.open("/sign-in/")
        page.locator("main a[href*=sign-up]").click()
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password, again").fill(PASSWORD)
        page.locator("main form button[type=submit]").click()
        page.wait_for_url("**/websites**")
        expect(page.get_by_role("status")).to_contain_text(name)
        window.sign_out()
        window.sign_in(name)
