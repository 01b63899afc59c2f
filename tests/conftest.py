"""What tests share: one platform for a whole run, with accounts alice and bob on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.platform import Account, Platform, platform

SERVERS = (
    'requests fastapi "uvicorn[standard]" hypercorn granian gunicorn uvicorn-worker gevent flask daphne starlette '
    "python-multipart"
)


@pytest.fixture(scope="session")
def running() -> Iterator[Platform]:
    """The platform, started as a user starts it."""
    with platform() as made:
        yield made


@pytest.fixture(scope="session")
def alice(running: Platform) -> Account:
    """An account with every server of the documentation in the virtual environment ``servers``."""
    account = running.account("alice")
    account.shell(f"mkvirtualenv servers && pip install --quiet {SERVERS}")
    return account


@pytest.fixture(scope="session")
def bob(running: Platform) -> Account:
    return running.account("bob")
