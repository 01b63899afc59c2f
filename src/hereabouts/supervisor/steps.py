"""The steps of a website's latest start, as they happen: what its owner is shown while he waits."""

from __future__ import annotations

from dataclasses import dataclass

TURN = "Waiting for its turn"
OLD = "Ending the old process"
SANDBOX = "Making the sandbox and starting the command"
SOCKET = "Waiting until it accepts on $DOMAIN_SOCKET"
LEAD = "Leading visitors to it"


@dataclass(slots=True)
class _Step:
    name: str
    began: float
    ended: float | None = None
    failed: bool = False


class Steps:
    """Of one start at a time, the latest; what is said of another generation is passed over.

    Times are in seconds on one clock that never jumps.
    """

    def __init__(self) -> None:
        self._generation = 0
        self._steps: list[_Step] = []
        self._problem: str | None = None

    def begin(self, generation: int, now: float) -> None:
        """A start of this generation is wanted; one that is under way already goes on."""
        if generation < self._generation or (generation == self._generation and self._current()):
            return
        self._generation, self._problem = generation, None
        self._steps = [_Step(TURN, now)]

    def reach(self, generation: int, name: str, now: float) -> None:
        """The step before is done, this one begins."""
        current = self._current()
        if current is None or generation != self._generation or current.name == name:
            return
        current.ended = now
        self._steps.append(_Step(name, now))

    def finish(self, generation: int, now: float) -> None:
        """The last step is done: visitors reach the new process."""
        current = self._current()
        if current and generation == self._generation:
            current.ended = now

    def fail(self, generation: int, problem: str, now: float) -> None:
        """The step that goes on has failed, and with it the start."""
        current = self._current()
        if current and generation == self._generation:
            current.ended, current.failed, self._problem = now, True, problem

    def drop(self) -> None:
        """Nothing is to be started any more: forget a start that is not through."""
        if self._current():
            self._steps = []

    def tell(self, now: float, ahead: float) -> dict[str, object]:
        """All of it for people, in JSON's types; ``ahead`` is how far the time of day is ahead of this clock."""
        return {
            "generation": self._generation,
            "steps": [
                {
                    "name": step.name,
                    "at": step.began + ahead,
                    "seconds": (now if step.ended is None else step.ended) - step.began,
                    "status": "failed" if step.failed else "running" if step.ended is None else "done",
                }
                for step in self._steps
            ],
            "problem": self._problem,
        }

    def _current(self) -> _Step | None:
        """The step that goes on now, if any."""
        return self._steps[-1] if self._steps and self._steps[-1].ended is None else None


def check(path: str) -> str:
    """What the step of a health check is called."""
    return f"Health check: GET {path}"
