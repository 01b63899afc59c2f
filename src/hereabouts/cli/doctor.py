"""``hereabouts doctor``: is the machine fit, and if not, what to do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hereabouts.cli import certificates, support

if TYPE_CHECKING:
    from hereabouts.config import Config
    from hereabouts.daemons.checks import Check


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the machine; each failure comes with its remedy. Exit code 1 if any."""
    from hereabouts.daemons import checks, processes, record

    settings = support.settings()
    ours = {member.pid for leader in record.running(settings).values() for member in processes.session_members(leader)}
    ours |= {process.pid for process in record.running(settings).values()}
    found = [*checks.everything(settings, frozenset(ours)), *_certificates(settings)]
    if as_json:
        support.print_json([asdict(check) for check in found])
    else:
        _show(found)
    if not all(check.ok for check in found):
        raise typer.Exit(1)


def _certificates(settings: Config) -> Iterator[Check]:
    """No certificate is about to end. Only root can look, and only where a platform has been."""
    from hereabouts.daemons.checks import Check

    if os.geteuid() != 0 or not (settings.database or settings.sqlite_file.exists()):
        return
    name, remedy = "certificates", "`hereabouts certificates` lists them."
    support.database(settings)
    from django.db import Error

    try:
        found = certificates.gather(settings, time.time())
    except Error as error:
        remedy = "Start PostgreSQL, or free space on the disk of the database."
        yield Check(name, False, f"The database can't be read: {str(error).strip()}.", remedy)
        return
    warnings = [each.warning for each in found if each.warning]
    if warnings:
        more = f" ({len(warnings) - 1} more)" if len(warnings) > 1 else ""
        yield Check(name, False, f"{warnings[0]}{more}", remedy)
    else:
        yield Check(name, True, f"{len(found)}, none of them ends soon")


def _show(found: list[Check]) -> None:
    out = support.console()
    width = max(len(check.name) for check in found)
    for check in found:
        mark, style = ("ok    ", "green") if check.ok else ("failed", "bold red")
        out.print(support.marked(mark, style, f"  {check.name:<{width}}  {check.found}"))
        if not check.ok:
            out.print(" " * (width + 10) + "→ " + support.printable(check.remedy), style="yellow")
