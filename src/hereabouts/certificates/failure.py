"""What can go wrong with an order, for its owner and for the loop."""

from __future__ import annotations

from enum import StrEnum

from hereabouts.errors import HereaboutsError


class Fault(StrEnum):
    """Whose it is to mend: the owner's DNS, the authority's (its limits, its being away), or the platform's."""

    DNS = "dns"
    AUTHORITY = "authority"
    LIMIT = "limit"
    UNREACHABLE = "unreachable"
    PLATFORM = "platform"


class OrderFailed(HereaboutsError):
    """{problem}"""

    def __init__(self, fault: Fault, problem: str, retry_at: float | None = None) -> None:
        """``retry_at`` is when the authority will take another order, in seconds since the epoch."""
        self.fault, self.problem, self.retry_at = fault, problem, retry_at
        super().__init__(problem=problem)
