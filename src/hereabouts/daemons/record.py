"""Which processes the platform runs: what `up` writes down, and others read."""

from __future__ import annotations

import json
from pathlib import Path

from hereabouts.config import Config
from hereabouts.daemons import processes
from hereabouts.daemons.processes import Process


def state_file(config: Config) -> Path:
    """Where `up` keeps which processes it runs."""
    return config.run_dir / "up.json"


def recorded(config: Config) -> dict[str, Process]:
    """The platform's processes by name, as the last `up` recorded them, running still or not."""
    try:
        content = json.loads(state_file(config).read_text(encoding="utf-8"))
        if content["boot"] != processes.boot():
            return {}
        return {name: Process(*where) for name, where in content["processes"].items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, KeyError, TypeError):
        return {}


def running(config: Config) -> dict[str, Process]:
    """The platform's processes that run now, by name."""
    return {name: process for name, process in recorded(config).items() if processes.is_running(process)}
