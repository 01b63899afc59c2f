"""``hereabouts doctor``: is the machine fit, and if not, what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hereabouts.cli import support

if TYPE_CHECKING:
    from hereabouts.daemons.checks import Check


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the machine; each failure comes with its remedy. Exit code 1 if any."""
    from hereabouts.daemons import checks, processes, up

    settings = support.settings()
    ours = {member.pid for leader in up.running(settings).values() for member in processes.session_members(leader)}
    ours |= {process.pid for process in up.running(settings).values()}
    found = list(checks.everything(settings, frozenset(ours)))
    if as_json:
        support.print_json([asdict(check) for check in found])
    else:
        _show(found)
    if not all(check.ok for check in found):
        raise typer.Exit(1)


def _show(found: list[Check]) -> None:
    out = support.console()
    width = max(len(check.name) for check in found)
    for check in found:
        mark = "[green]ok    [/]" if check.ok else "[bold red]failed[/]"
        out.print(f"{mark}  {check.name:<{width}}  ", end="")
        out.print(check.found, markup=False)
        if not check.ok:
            out.print(" " * (width + 10) + "→ " + check.remedy, markup=False, style="yellow")
