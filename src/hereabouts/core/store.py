"""How the supervisor reads what is wanted and writes what it saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hereabouts.core.webapp import Observation, Website


class Store(Protocol):
    """The database as the supervisor sees it. Calls block; they come from one thread only."""

    def websites(self) -> Sequence[Website]:
        """Every website of every account, enabled or not."""

    def website(self, website_id: int) -> Website | None:
        """One website, or None once it is deleted."""

    def observations(self) -> Mapping[int, Observation]:
        """What was last recorded, by website id: read once, when a supervisor takes over."""

    def record(self, website_id: int, observation: Observation) -> None:
        """Keep what was seen. A website that was deleted meanwhile is passed over."""
