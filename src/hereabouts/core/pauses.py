"""How long to wait before something that failed may be tried again: growing pauses against guessing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """After ``free`` tries in a row without success, pauses of 2, 4, 8 … seconds, up to ``longest``.

    ``forget`` seconds after the last try all is forgotten.
    """

    free: int
    longest: float
    forget: float = 3600.0

    def pause(self, count: int) -> float:
        """Seconds that must lie between try number ``count`` and the next."""
        over = count - self.free
        return 0.0 if over < 0 else min(2.0 ** min(over + 1, 64), self.longest)

    def wait(self, count: int, last: float, now: float) -> float:
        """Seconds until the next may be made, after ``count`` of which the last was at ``last``; 0 for now.

        A clock that was set back keeps nobody waiting.
        """
        return 0.0 if now < last else max(0.0, last + self.pause(count) - now)

    def standing(self, count: int, last: float, now: float) -> int:
        """How many of ``count`` tries still count."""
        return 0 if abs(now - last) > self.forget else count
