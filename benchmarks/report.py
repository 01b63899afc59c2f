"""What a measurement found, and the table of all of them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; all but ``reached`` as a person reads it."""

    what: str
    measured: str
    baseline: str
    compared: str
    target: str
    reached: bool


def show(rows: Iterable[Row], seconds: float) -> None:
    """Print the table and the machine that it was measured on."""
    console = Console(width=None if os.isatty(1) else 150)
    table = Table(show_lines=True)
    for title in ("what", "measured", "baseline", "ratio or difference", "target", "reached"):
        table.add_column(title, overflow="fold")
    for row in rows:
        reached = "[green]yes[/]" if row.reached else "[bold red]no[/]"
        table.add_row(row.what, row.measured, row.baseline, row.compared, row.target, reached)
    console.print(table)
    console.print(f"{machine()} · {seconds:.0f} s", highlight=False)


def machine() -> str:
    """The cores, and the versions of all that takes part."""
    processor = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return " · ".join(
        (
            f"{os.cpu_count()} cores {processor[1] if processor else platform.machine()}",
            f"Linux {platform.release()}",
            f"Python {platform.python_version()}",
            *(f"{name} {_version(*words)}" for name, words in _VERSIONS.items()),
            f"load {os.getloadavg()[0]:.1f}",
        )
    )


_VERSIONS = {
    "nginx": ("nginx", "-v"),
    "runc": ("runc", "--version"),
    "wrk": ("wrk", "--version"),
    "Caddy": ("caddy", "version"),
}


def _version(*words: str) -> str:
    from benchmarks.machine import program

    done = subprocess.run([program(words[0]), *words[1:]], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "?"
