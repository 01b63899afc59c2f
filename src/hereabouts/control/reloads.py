"""Reloads that come at once: whoever asked before a new process was ordered is served by that one."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from hereabouts.control import services
from hereabouts.control.models import Observation, Website
from hereabouts.control.states import UNATTENDED
from hereabouts.core.lifecycle import RELOAD_FAILED

_locks: dict[int, threading.Lock] = {}
"""One for each website: where the database makes one wait, the others do not wait for that."""
_ordered: dict[int, tuple[int, float]] = {}
"""For each website the generation that was ordered last, and a moment before it was (monotonic, in seconds)."""


def reload_website(website: Website, arrived: float) -> int:
    """The generation that answers a reload which was asked for at ``arrived``: a new one, or one ordered since.

    Raises WebsiteDisabled, NoSuchWebsite.
    """
    with _locks.setdefault(website.pk, threading.Lock()):
        generation, since = _ordered.get(website.pk, (0, 0.0))
        if arrived <= since and generation >= website.generation and website.enabled:
            return generation
        now = time.monotonic()
        generation = services.reload_website(website)
        _ordered[website.pk] = (generation, now)
        return generation


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reload ended: ``kind`` is ``done``, ``reload_failed`` or ``reload_pending``, and why."""

    kind: str
    message: str


def outcome(website: Website, generation: int, settled: bool | None) -> Outcome:
    """How the reload of that generation stands; ``settled`` is what asking.settle answered. Raises NoSuchWebsite."""
    seen: Observation | None = getattr(services.latest(website), "observation", None)
    if seen and seen.serving >= generation:
        return Outcome("done", "")
    detail = (seen and seen.detail) or ""
    if seen and seen.failed >= generation:
        return Outcome("reload_failed", detail.removeprefix(RELOAD_FAILED))
    if settled is None:
        return Outcome("reload_pending", UNATTENDED)
    if not detail or detail.startswith(RELOAD_FAILED):  # that was an earlier reload
        old = " Until it serves, the old one does." if seen and seen.serving else ""
        detail = f"The new process is still starting.{old}"
    return Outcome("reload_pending", detail)
