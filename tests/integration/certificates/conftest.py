"""One platform with an authority for all of these tests that need none of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.certified import Stage, staged


@pytest.fixture(scope="package")
def shared() -> Iterator[Stage]:
    with staged() as made:
        yield made


@pytest.fixture
def stage(shared: Stage) -> Iterator[Stage]:
    """The platform with its authority, the door open."""
    shared.open()
    yield shared
    shared.open()
    if shared.pebble.process is None:
        shared.pebble.start()
