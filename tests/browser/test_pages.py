"""Every page in every state, light and dark, on a desktop and a phone: for everybody, and no wider than the window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, chromium, visitor
from tests.browser.furnished import OTHERS, SHOP, furnished
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


def test_a_domain_of_somebody_else_shows_the_record_to_copy(shown: Gallery) -> None:
    proofs = [state for state in STATES if state.name.endswith("-proof")]
    assert proofs
    for state in proofs:
        window = shown.show(state)
        name, value = (window.page.locator(f"#proof-{what}").inner_text() for what in ("record", "value"))
        assert name.endswith(f".{OTHERS}")
        assert {name, value} <= set(window.copies())


def test_a_certificate_is_ordered(shown: Gallery, size: dict[str, int]) -> None:
    """Its name leads here and the authority agrees: the page shows the certificate, and visitors get it."""
    name = f"ordered{size['width']}.shop.test"
    with visitor(shown.browser, shown.stage.platform, viewport=size) as window:
        window.sign_in("alice")
        page = window.open(f"/websites/{SHOP}/domains/")
        page.locator("form:has([value=add]) [name=domain_name]").fill(name)
        page.get_by_role("button", name="Add the domain").click()
        card = page.get_by_role("region", name=name)
        card.get_by_role("button", name="Order a certificate").click()
        expect(card.get_by_text("Pebble", exact=False).first).to_be_visible()
        expect(card.get_by_role("button", name="Order a certificate")).to_have_count(0)
        assert shown.stage.certified(name)


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
