"""``hereabouts config``: the settings in force and where each came from."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from hereabouts.cli import support
from hereabouts.config import FIELDS


def config(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the settings in force, and where each came from."""
    settings = support.settings()
    rows = [
        {
            "setting": field.name,
            "value": _shown(field.name, getattr(settings, field.name)),
            "source": settings.sources.get(field.name, "default"),
            "meaning": field.metadata["meaning"],
        }
        for field in FIELDS
    ]
    if as_json:
        support.print_json(rows)
        return
    support.table(
        ["setting", "value", "source", "meaning"],
        [[row["setting"], _text(row["value"]), row["source"], row["meaning"]] for row in rows],
        wrap=("value", "meaning"),
    )


def _shown(name: str, value: Any) -> Any:
    if name == "database" and value and (password := urlsplit(value).password):
        return value.replace(f":{password}@", ":…@")
    return list(value) if isinstance(value, tuple) else value if isinstance(value, int | float) else str(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value) if isinstance(value, list) else str(value) or "–"
