"""``make screenshots``: every page of the dashboard, desktop and phone, light and dark, for docs/screenshots.

A platform of its own shows them, with a few websites and a month of invented traffic.
"""

from __future__ import annotations

import base64
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import chromium
from tests.browser.furnished import furnished
from tests.browser.states import LOOKS, STATES, gallery

TARGET = Path(__file__).parents[2] / "docs" / "screenshots"
_ALIKE = (
    "-wrong", "-opened", "-none-found", "-second-page", "-free", "-taken", "-hour", "-week", "-month", "-access",
    "-server", "-paused", "-own", "-others", "-django", "-unattended",
)  # fmt: skip
"""Names of states that look much like another one end so: the tests look at them, people need no picture."""


def main() -> None:
    """Make them all anew."""
    TARGET.mkdir(exist_ok=True)
    for old in TARGET.glob("*.webp"):
        old.unlink()
    with furnished() as stage, chromium(stage.platform) as browser, gallery(stage, browser) as shown:
        for state in STATES:
            if state.name.endswith(_ALIKE):
                continue
            window = shown.show(state)
            for name, look in LOOKS.items():
                window.look(*look)
                _shoot(window.page, f"{state.name}-{name}")


def _shoot(page: Page, name: str) -> None:
    """The whole page as WebP, which playwright's own screenshots can't be."""
    session = page.context.new_cdp_session(page)
    size = session.send("Page.getLayoutMetrics")["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
    wanted = {"format": "webp", "quality": 82, "captureBeyondViewport": True, "clip": clip}
    data = session.send("Page.captureScreenshot", wanted)["data"]
    (TARGET / f"{name}.webp").write_bytes(base64.b64decode(data))
    print(name, flush=True)


if __name__ == "__main__":
    main()
