"""The official client in a virtual environment of its own, made once for this working copy."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.platform import Account
from tests.shared import made_once

CLIENT = "pythonanywhere==0.19.3"
_PLACE = Path(__file__).parents[2] / ".cache" / CLIENT


@pytest.fixture(scope="session")
def client_programs() -> Path:
    """The directory with the official ``pa`` and the Python that has its libraries."""
    stamp = _PLACE / "installed"
    with made_once(stamp) as missing:
        if missing:
            subprocess.run(["/usr/bin/python3", "-m", "venv", _PLACE], check=True)
            subprocess.run([_PLACE / "bin/pip", "install", "--quiet", CLIENT], check=True)
            stamp.touch()
    return _PLACE / "bin"


@pytest.fixture(scope="session")
def client_environ(alice: Account) -> dict[str, str]:
    """What ``eval "$(hereabouts env alice)"`` gives, and nothing else that the client reads."""
    lines = alice.platform.cli("env", "alice").stdout.splitlines()
    exported = dict(shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in lines)
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "COLUMNS": "200", **exported}
