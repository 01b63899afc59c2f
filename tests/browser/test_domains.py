"""The names of a website and its certificates, in a browser, on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.authority import Authority
from tests.browser.conftest import Visitor
from tests.integration.sites import PLAIN, site
from tests.platform import Account

DOMAIN = "named-alice.localhost"
PAGE = f"/websites/{DOMAIN}/domains/"


@pytest.fixture(scope="module")
def website(alice: Account) -> Iterator[int]:
    """The number of alice's website."""
    alice.write("named.py", PLAIN)
    with site(alice, "/usr/bin/python3 named.py", DOMAIN) as made:
        yield int(made["id"])


def form(page: Page | Locator, what: str) -> Locator:
    return page.locator(f"form:has([name=do][value={what}])")


def send(page: Page, where: Page | Locator, what: str) -> None:
    """Send the form that does this, and read what is said of it."""
    form(where, what).get_by_role("button").click()
    page.wait_for_load_state()


def test_a_domain_of_ones_own(window: Visitor, website: int, size: dict[str, int]) -> None:
    """It is added, its record is copied, it is looked up, gets an uploaded certificate, redirects, and goes."""
    page, name = window.open(PAGE), f"www.named{size['width']}.test"
    form(page, "add").get_by_role("textbox").fill(name)
    send(page, page, "add")
    expect(page.get_by_role("status").first).to_contain_text(name)
    card = page.get_by_role("region", name=name)
    assert window.copies() == [name, f"webapp-{website}.localhost"]
    send(page, card, "check")
    expect(page.get_by_role("status").first).to_contain_text(name)
    send(page, card, "order")
    expect(card.get_by_role("alert")).to_be_visible()  # for its DNS does not lead here

    cert, key = Authority("Example CA").sign(name)
    card.locator("summary").click()
    form(card, "upload").locator("[name=cert]").fill(cert)
    form(card, "upload").locator("[name=private_key]").fill("no key")
    send(page, card, "upload")
    expect(card.get_by_role("alert")).to_be_visible()
    form(card, "upload").locator("[name=private_key]").fill(key)
    send(page, card, "upload")
    expect(card).to_contain_text("Example CA")
    send(page, card, "delete_certificate")
    expect(card).not_to_contain_text("Example CA")

    send(page, card, "redirect")
    expect(form(card, "redirect").locator("[name=redirect]")).to_have_value("no")
    send(page, card, "remove")
    expect(card).to_have_count(0)


def test_https_by_force(window: Visitor, alice: Account, website: int) -> None:
    page = window.open(PAGE)
    for code, forced in ((301, True), (200, False)):
        form(page, "https").locator("[name=force_https]").set_checked(forced)
        form(page, "https").get_by_role("combobox").select_option("86400" if forced else "0")
        send(page, page, "https")
        expect(page.get_by_role("status").first).to_be_visible()
        expect(form(page, "https").locator("[name=force_https]")).to_be_checked(checked=forced)
        assert alice.platform.visit(DOMAIN).status_code == code
