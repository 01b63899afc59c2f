"""``hereabouts shell``: a console in an account's sandbox."""

from __future__ import annotations

from typing import Annotated

import typer

from hereabouts.cli import support
from hereabouts.cli.users import Name


def shell(
    name: Name,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND…]", help="One command instead of a console.")
    ] = None,
) -> None:
    """Open a Bash console in the account's sandbox, or run one command there."""
    settings = support.settings()
    account = support.account(settings, name, "shell")
    from hereabouts.sandbox import console

    raise typer.Exit(console.run(settings, account.value(), command or None))
