"""What a browser calls itself, in a few words."""

from __future__ import annotations

import re

_BROWSERS = (
    ("Edge", r"Edg(?:e|A|iOS)?/(\d{1,4})"),
    ("Opera", r"OPR/(\d{1,4})"),
    ("Samsung Internet", r"SamsungBrowser/(\d{1,4})"),
    ("Firefox", r"(?:Firefox|FxiOS)/(\d{1,4})"),
    ("Chrome", r"(?:Chrome|CriOS|Chromium|HeadlessChrome)/(\d{1,4})"),
    ("Safari", r"Version/(\d{1,4})[\d.]* (?:Mobile/\S+ )?Safari/"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("macOS", "Mac OS X"),
    ("ChromeOS", "CrOS"), ("Linux", "Linux"),
)  # fmt: skip
_LONGEST = 40


def describe(agent: str) -> str:
    """Such as ``Firefox 132 on Linux``; what is none of the usual browsers is shown as it calls itself."""
    system = next((name for name, mark in _SYSTEMS if mark in agent), "")
    for name, pattern in _BROWSERS:
        if found := re.search(pattern, agent):
            return f"{name} {found[1]}" + (f" on {system}" if system else "")
    return agent[:_LONGEST] or "Unknown browser"
