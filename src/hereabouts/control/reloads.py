"""Reloads that come at once: whoever asked before a new process was ordered is served by that one."""

from __future__ import annotations

import threading
import time

from hereabouts.control import services
from hereabouts.control.models import Website

_lock = threading.Lock()
_ordered: dict[int, tuple[int, float]] = {}
"""For each website the generation that was ordered last, and a moment before it was (monotonic, in seconds)."""


def reload_website(website: Website, arrived: float) -> int:
    """The generation that answers a reload which was asked for at ``arrived``: a new one, or one ordered since.

    Raises WebsiteDisabled, NoSuchWebsite.
    """
    with _lock:
        generation, since = _ordered.get(website.pk, (0, 0.0))
        if arrived <= since and generation >= website.generation and website.enabled:
            return generation
        now = time.monotonic()
        generation = services.reload_website(website)
        _ordered[website.pk] = (generation, now)
        return generation
