"""What is due when: the earliest of many thousand moments without looking at each of them."""

from __future__ import annotations

import heapq


class Agenda:
    """One moment at most for each name."""

    def __init__(self) -> None:
        self._moments: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def put(self, name: str, moment: float | None) -> None:
        """The name's moment from now on; None: it has none."""
        if moment is None:
            self._moments.pop(name, None)
        elif self._moments.get(name) != moment:
            self._moments[name] = moment
            heapq.heappush(self._heap, (moment, name))

    def first(self) -> float | None:
        """The earliest moment of all; None where there is none."""
        while self._heap and self._moments.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # its name has another one by now
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> str | None:
        """The name whose moment came first, which has none after that; None while no moment has come."""
        first = self.first()
        if first is None or first > now:
            return None
        _, name = heapq.heappop(self._heap)
        del self._moments[name]
        return name
