"""``hereabouts certificates``: every certificate, until when it is good, and how its renewal stands."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hereabouts.cli import support

if TYPE_CHECKING:
    from hereabouts.config import Config
    from hereabouts.core.certificate import Listed


def certificates(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every certificate: where it comes from, how long it is good, and how its renewal stands."""
    support.need_root("certificates")
    settings = support.settings()
    support.database(settings)
    now = time.time()
    found = gather(settings, now)
    if as_json:
        support.print_json([{**asdict(each), "days_left": each.days_left(now)} for each in found])
        return
    support.table(
        ["name", "kind", "issuer", "days left", "renewal"],
        [
            [
                each.name, each.kind, each.issuer, _days(each, now), each.renewal,
            ]
            for each in found
        ],
        wrap=("renewal",),
    )  # fmt: skip


def _days(each: Listed, now: float) -> Any:
    left = each.days_left(now)
    return support.coloured("–" if left is None else str(left), "bold red" if each.warning else "")


def gather(config: Config, now: float) -> list[Listed]:
    """Every certificate, those for which somebody has to do something first. Needs root and the database."""
    from hereabouts.certificates import listing
    from hereabouts.control import certificate_list

    return certificate_list.listed(listing.of_files(config, now), now)
