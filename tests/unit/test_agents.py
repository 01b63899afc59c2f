"""What a browser is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hereabouts.control.dashboard.agents import describe

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox 140 on Linux"),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/141.0.0.0 Safari/537.36",
            "Chrome 141 on Windows",
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
            "Edge 141 on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.6 Mobile/15E148 Safari/604.1",
            "Safari 18 on iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.6 Safari/605.1.15",
            "Safari 18 on macOS",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/141.0.0.0 Mobile Safari/537.36",
            "Chrome 141 on Android",
        ),
        ("curl/8.14.1", "curl/8.14.1"),
        ("", "Unknown browser"),
    ],
)
def test_the_usual_ones(agent: str, shown: str) -> None:
    assert describe(agent) == shown


@given(st.text(max_size=300))
def test_any_other_is_short(agent: str) -> None:
    assert 0 < len(describe(agent)) <= 60
