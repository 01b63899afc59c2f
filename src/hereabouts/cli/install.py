"""``hereabouts install``: systemd units for production."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hereabouts.cli import support


def install(
    directory: Annotated[Path, typer.Option("--directory", help="Where to write the units.", show_default=True)] = Path(
        "/etc/systemd/system"
    ),
) -> None:
    """Write systemd units that run the platform at boot, with the settings in force now."""
    support.need_root("install")
    from hereabouts.daemons import units

    for path in units.install(support.settings(), directory):
        support.say(f"Wrote {path}")
    support.say(f"Start it now and at every boot: systemctl daemon-reload && systemctl enable --now {units.TARGET}")
