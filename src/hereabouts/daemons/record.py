"""Which processes the platform runs: what `up` writes down, or each process that systemd runs, and others read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from hereabouts import files
from hereabouts.config import Config
from hereabouts.daemons import processes
from hereabouts.daemons.processes import Process


def state_file(config: Config) -> Path:
    """Where `up` keeps which processes it runs."""
    return config.run_dir / "up.json"


def write(path: Path, found: Mapping[str, Process | None]) -> None:
    """Write down which processes run, by name."""
    where = {name: [process.pid, process.started] for name, process in found.items() if process}
    files.replace(path, json.dumps({"boot": processes.boot(), "processes": where}))


def note_unit(config: Config, name: str) -> None:
    """Write down that this process is the platform's ``name``, as a unit of systemd's."""
    write(files.directory(_units(config)) / f"{name}.json", {name: processes.find(os.getpid())})


def recorded(config: Config) -> dict[str, Process]:
    """The platform's processes by name, as the last `up` recorded them, running still or not."""
    return _read(state_file(config))


def running(config: Config) -> dict[str, Process]:
    """The platform's processes that run now by name, whether `up` or systemd runs them."""
    return _alive(recorded(config)) | units(config)


def units(config: Config) -> dict[str, Process]:
    """Those of them that systemd runs."""
    found: dict[str, Process] = {}
    for path in _units(config).glob("*.json"):
        found |= _read(path)
    return _alive(found)


def _units(config: Config) -> Path:
    return config.run_dir / "units"


def _alive(found: Mapping[str, Process]) -> dict[str, Process]:
    return {name: process for name, process in found.items() if processes.is_running(process)}


def _read(path: Path) -> dict[str, Process]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["boot"] != processes.boot():
            return {}
        return {name: Process(*where) for name, where in content["processes"].items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, KeyError, TypeError):
        return {}
