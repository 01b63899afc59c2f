"""What tests share: one platform for a whole run, with accounts alice and bob on it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import shared
from tests.platform import Account, Platform, keep, platform

SERVERS = (
    'requests fastapi "uvicorn[standard]" hypercorn granian gunicorn uvicorn-worker gevent flask daphne starlette '
    "python-multipart"
)

_FIRST = (
    "browser/test_pages.py", "integration/test_metrics.py", "integration/certificates/test_renewal.py",
    "integration/test_clock_jumps.py", "browser/test_account.py", "integration/test_changes.py",
)  # fmt: skip
"""The files that take longest: begun first, they don't run on when all others are done. Most of them only wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, all others as they were."""
    items.sort(key=lambda item: next((at for at, name in enumerate(_FIRST) if item.path.match(name)), len(_FIRST)))


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory with a short name, which leaves room for the paths of sockets in it."""
    with tempfile.TemporaryDirectory(prefix="h-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def running() -> Iterator[Platform]:
    """The platform, started as a user starts it."""
    with platform() as made:
        yield made


@pytest.fixture(scope="session")
def alice(running: Platform) -> Account:
    """An account with every server of the documentation in the virtual environment ``servers``."""
    account = running.account("alice")
    kept, environments = shared.DIRECTORY / "servers", account.home / ".virtualenvs"
    with shared.made_once(kept) as missing:
        if missing:
            account.shell(f"mkvirtualenv servers && pip install --quiet {SERVERS}")
            keep(environments, kept)
            return account
    subprocess.run(["cp", "-a", kept, environments], check=True)
    uid = account.home.stat().st_uid
    subprocess.run(["chown", "-R", "--no-dereference", f"{uid}:{uid}", environments], check=True)
    return account


@pytest.fixture(scope="session")
def bob(running: Platform) -> Account:
    return running.account("bob")
