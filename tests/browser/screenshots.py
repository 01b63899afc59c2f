"""``make screenshots``: every page of the dashboard, desktop and phone, light and dark, for docs/screenshots.

A platform of its own shows them, with a few websites and a month of invented traffic.
"""

from __future__ import annotations

import base64
import math
import os
import random
import time
from pathlib import Path

from playwright.sync_api import Page

from hereabouts.core import metrics
from hereabouts.core.metrics import COARSE, FINE, Ring, Sample
from tests.browser.conftest import DESKTOP, PASSWORD, PHONE, chromium, visitor
from tests.integration.sites import PLAIN
from tests.platform import Platform, platform

TARGET = Path(__file__).parents[2] / "docs" / "screenshots"
SERVER = "/usr/bin/python3 shop.py $DOMAIN_SOCKET"
SHOP, BROKEN, RESTING = "shop-alice.localhost", "draft-alice.localhost", "winter-alice.localhost"
ALICES = {
    "websites": "/websites/", "new-website": "/websites/new/", "website": f"/websites/{SHOP}/?period=day",
    "website-crashed": f"/websites/{BROKEN}/", "command": f"/websites/{SHOP}/command/",
    "domains": f"/websites/{SHOP}/domains/", "logs": f"/websites/{SHOP}/logs/", "delete": f"/websites/{SHOP}/delete/",
    "token": "/account/token/", "password": "/account/password/", "sessions": "/account/sessions/",
    "two-factor": "/account/two-factor/",
}  # fmt: skip
OPERATORS = {
    "operator": "/operator/", "operator-accounts": "/operator/accounts/", "operator-websites": "/operator/websites/",
    "operator-certificates": "/operator/certificates/", "operator-audit": "/operator/audit/",
}  # fmt: skip


def main() -> None:
    """Make them all anew."""
    TARGET.mkdir(exist_ok=True)
    with platform() as made, chromium(made) as browser:
        _furnish(made)
        for scheme in ("light", "dark"):
            for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
                with visitor(browser, made, color_scheme=scheme, viewport=viewport) as window:
                    window.open("/sign-in/")
                    _shoot(window.page, f"sign-in-{size}-{scheme}")
                    for name, pages in (("alice", ALICES), ("olivia", OPERATORS)):
                        window.context.clear_cookies()
                        window.sign_in(name)
                        for page, path in pages.items():
                            window.open(path)
                            window.page.wait_for_load_state("load")
                            _shoot(window.page, f"{page}-{size}-{scheme}")


def _shoot(page: Page, name: str) -> None:
    """The whole page as WebP, which playwright's own screenshots can't be."""
    session = page.context.new_cdp_session(page)
    size = session.send("Page.getLayoutMetrics")["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
    wanted = {"format": "webp", "quality": 82, "captureBeyondViewport": True, "clip": clip}
    data = session.send("Page.captureScreenshot", wanted)["data"]
    (TARGET / f"{name}.webp").write_bytes(base64.b64decode(data))
    print(name, flush=True)


def _furnish(made: Platform) -> None:
    alice = made.account("alice")
    made.cli("user", "add", "olivia", "--operator", "--password-stdin", input=f"{PASSWORD}\n")
    alice.write("shop.py", PLAIN)
    shop = alice.create(SERVER, SHOP)
    alice.create("/home/alice/.virtualenvs/draft/bin/uvicorn --uds $DOMAIN_SOCKET draft:app", BROKEN)
    alice.create(SERVER, RESTING)
    alice.call("PATCH", f"{RESTING}/", json={"enabled": False})
    for number in range(30):
        made.visit(SHOP, f"/basket/{number}")
    invent(made, shop["id"])


def invent(made: Platform, website: int) -> None:
    """A month of traffic in the website's file."""
    path = made.config.metrics / str(website)
    path.touch(0o640)
    os.chown(path, 0, made.config.control_uid)
    chance = random.Random(1)
    now = int(time.time())
    with path.open("r+b", buffering=0) as file:
        for ring in (FINE, COARSE):
            for at in range(ring.begin(now) - (ring.slots - 1) * ring.step, ring.begin(now), ring.step):
                os.pwrite(file.fileno(), metrics.pack(_sample(ring, at, chance)), ring.place(at))


def _sample(ring: Ring, at: int, chance: random.Random) -> Sample:
    day = (1 - math.cos((at % 86_400) / 86_400 * 2 * math.pi)) / 2
    rate = (1.5 + 14 * day**2) * chance.uniform(0.85, 1.2)
    count = round(rate * ring.step)
    slow = 1 + 3 * (chance.random() < 0.01)
    shares = (0.1, 0.22, 0.34, 0.2, 0.08, 0.04, 0.015 * slow, 0.004 * slow, 0.001, 0, 0, 0, 0)
    return Sample(
        at=at,
        seconds=ring.step,
        answers=(0, count, count // 12, count // 40, 1 if chance.random() < 0.02 else 0),
        bytes_out=count * 18_000,
        latency=tuple(round(count * share) for share in shares),
        connections=round(rate * 0.2),
        cpu_seconds=ring.step * rate * 0.004,
        memory_bytes=round((58 + 9 * day) * 1_048_576),
    )


if __name__ == "__main__":
    main()
