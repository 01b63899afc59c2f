"""A clock that jumps by a day changes no plan: only what is shown to people is in wall time."""

from __future__ import annotations

import ast
from pathlib import Path

import hereabouts

SUPERVISOR = Path(hereabouts.__file__).parent / "supervisor"
FOR_PEOPLE = {
    ("telling.py", "tell"),  # an observation's `since`
    ("evidence.py", "in_a_row"),  # when a website failed first, and is tried next
    ("questions.py", "_sandboxes"),  # since when each runs, for `hereabouts status`
    ("questions.py", "_reply"),  # when each step of a start began
    ("metrics.py", "run"),  # which ten seconds are counted now
}


def _who_asks(path: Path) -> set[tuple[str, str]]:
    """The functions in this file that read the clock that may jump."""
    found = set()
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)]
            if {"time.time", "datetime.now", "time.time_ns"} & set(calls):
                found.add((path.name, function.name))
    return found


def test_only_what_people_read_is_in_wall_time() -> None:
    assert set().union(*map(_who_asks, SUPERVISOR.glob("*.py"))) == FOR_PEOPLE
