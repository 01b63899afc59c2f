"""The platform's processes are started again when they die, and taken over when their parent did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hereabouts import files
from hereabouts.daemons import processes
from hereabouts.daemons.children import Child, Recipe, pause_seconds, replace

_FOREVER = "import signal; signal.pause()"
_LEADER = """
import os, signal, subprocess, sys
signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a shell's background jobs ignore it
worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(worker.pid, flush=True)
signal.pause()
"""


def _until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.01)


class Family:
    """Children of a test, with what was said of them."""

    def __init__(self, directory: Path) -> None:
        self.said: list[str] = []
        self.made: list[Child] = []
        self._directory = directory

    def recipe(self, code: str, *, has_workers: bool = False) -> Recipe:
        return Recipe(
            name="one", argv=[sys.executable, "-c", code], environ=os.environ, log=self._directory / "one.log",
            stop_signal=signal.SIGTERM, replace_signal=signal.SIGTERM, patience=10, has_workers=has_workers,
        )  # fmt: skip

    def start(self, recipe: Recipe) -> Child:
        child = Child(recipe, self.said.append, lambda: None)
        self.made.append(child)
        child.start()
        return child


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path)
    yield made
    for child in made.made:
        child.begin_stop()
        child.finish_stop()


def test_a_killed_process_is_started_again_at_once(family: Family) -> None:
    child = family.start(family.recipe(_FOREVER))
    _until(lambda: child.process)
    first = child.process
    assert first
    os.kill(first.pid, signal.SIGKILL)
    _until(lambda: child.process != first)
    assert "one was ended by SIGKILL; started again" in family.said[0]


def test_one_that_keeps_dying_is_given_pauses_and_its_last_words_are_shown(family: Family) -> None:
    child = family.start(family.recipe("import sys; sys.exit('no luck')"))
    _until(lambda: child.failures >= 4)
    assert "ended with exit code 1; started again" in family.said[2]
    assert "ended with exit code 1; starting again in 0.5 s" in family.said[3]
    assert "no luck" in family.said[3]


def test_nobody_to_tell_and_no_room_to_write_it_down(family: Family, full_disk: Path) -> None:
    """Both go wrong at each death; what dies is started again, and noted as soon as there is room."""

    def tell(text: str) -> None:
        (full_disk / "said").write_text(text)

    def note() -> None:
        files.replace(full_disk / "noted", str(child.process))

    child = Child(family.recipe(_FOREVER), tell, note)
    family.made.append(child)
    child.start()
    for _ in range(2):
        _until(lambda: child.process and processes.is_running(child.process))
        before = child.process
        assert before
        os.kill(before.pid, signal.SIGKILL)
        _until(lambda before=before: child.process != before)
    assert not (full_disk / "noted").exists()
    (full_disk / "filler").unlink()
    _until((full_disk / "noted").exists)
    assert (full_disk / "noted").read_text() == str(child.process)


def test_pauses_grow_to_half_a_minute() -> None:
    pauses = [pause_seconds(failures) for failures in range(1, 12)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.0, 30.0)


def test_the_workers_of_a_killed_leader_are_ended(family: Family) -> None:
    recipe = family.recipe(_LEADER, has_workers=True)
    child = family.start(recipe)
    _until(lambda: recipe.log.exists() and recipe.log.read_text().endswith("\n"))
    worker = processes.find(int(recipe.log.read_text()))
    leader = child.process
    assert worker and leader
    os.kill(leader.pid, signal.SIGKILL)
    _until(lambda: not processes.is_running(worker))


def test_one_that_ignores_term_is_killed(family: Family) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); signal.pause()"
    quick = family.recipe(code)
    recipe = Recipe(**{name: getattr(quick, name) for name in quick.__slots__} | {"patience": 0.2})
    child = family.start(recipe)
    _until(lambda: recipe.log.exists() and recipe.log.read_text())
    child.begin_stop()
    child.finish_stop()
    assert not child.is_alive()


def test_what_an_earlier_parent_left_is_replaced(family: Family) -> None:
    left = subprocess.Popen([sys.executable, "-c", _FOREVER], start_new_session=True)
    old = processes.find(left.pid)
    assert old
    replace(family.recipe(_FOREVER), old)
    assert left.wait(10) == -signal.SIGTERM


def test_another_process_with_a_recorded_id_is_left_alone(family: Family) -> None:
    other = subprocess.Popen([sys.executable, "-c", _FOREVER], start_new_session=True)
    try:
        now = processes.find(other.pid)
        assert now
        replace(family.recipe(_FOREVER), processes.Process(now.pid, now.started - 1))
        assert processes.is_running(now)
    finally:
        other.kill()
        other.wait()
