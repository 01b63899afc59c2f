"""What the commands share: the settings, the database, output for people, plain when it is piped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hereabouts.config import FILE_NAME, Config, load
from hereabouts.errors import HereaboutsError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from hereabouts.control.models import Account


class NeedsRoot(HereaboutsError):
    """`hereabouts {command}` needs root: the platform's data is closed to others. Run it with sudo."""


class NothingHere(HereaboutsError):
    """There is no platform with data in {data_dir} yet. Start it with `make up`, or set `data_dir` to where it is."""


def settings() -> Config:
    """The settings in force: of the current directory's hereabouts.toml, else of the checkout that this runs from."""
    return load(directory=_directory())


def _directory() -> Path:
    checkout = Path(sys.prefix).parent
    if (Path.cwd() / FILE_NAME).exists() or not (checkout / "pyproject.toml").exists():
        return Path.cwd()
    return checkout


def need_root(command: str) -> None:
    """Raise NeedsRoot unless this is root."""
    if os.geteuid() != 0:
        raise NeedsRoot(command=command)


def database(config: Config, *, must_exist: bool = True) -> None:
    """Make ``hereabouts.control.services`` usable; the database is made where it may be missing."""
    fresh = not config.database and not config.sqlite_file.exists()
    if fresh and must_exist:
        raise NothingHere(data_dir=config.data_dir)
    if fresh:
        from hereabouts.control.secret import ensure_secret

        ensure_secret(config)
    from hereabouts.daemons.environ import set_up_django

    set_up_django(config)
    if fresh:
        from hereabouts.control.database import prepare

        prepare(config)
    from hereabouts.control import audit
    from hereabouts.control.models import Way

    audit.act_as(os.environ.get("SUDO_USER") or "root", Way.CLI)


def account(config: Config, name: str, command: str) -> Account:
    """The account of that name as it is stored, for a command that needs root. Raises NoSuchAccount."""
    need_root(command)
    database(config)
    from hereabouts.control import services

    return services.find_account(name)


def printable(text: str, keep: str = "") -> str:
    """The text without what would steer a terminal: such characters, but for those in ``keep``, as their escapes.

    What is printed may be a tenant's: a line of his log, a name in his certificate.
    """
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape", "surrogatepass").decode()
        for each in text
    )


def console() -> Console:
    """Standard output: colours and boxes in a terminal, neither when it is piped. Texts hold no markup."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty())


def say(text: str) -> None:
    """Print a sentence for people."""
    console().print(printable(text))


def fail(message: str) -> None:
    """Say on standard error what went wrong."""
    from rich.console import Console
    from rich.text import Text

    message = printable(message, keep="\n")
    out = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
    if not out.is_terminal:
        print(f"hereabouts: {message}", file=sys.stderr)
        return
    from rich.panel import Panel

    out.print(Panel(Text(message), title="hereabouts", title_align="left", border_style="red", expand=False))


def print_json(value: object) -> None:
    """Print for a script."""
    print(json.dumps(value, indent=2, default=str))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, wrap: Sequence[str] = ()) -> None:
    """Print a table: with a styled head in a terminal, tab-separated lines without a head when piped.

    ``wrap`` names the columns that may be broken into lines.
    """
    out = console()
    cells = [[_cell(each) for each in row] for row in rows]
    if not out.is_terminal:
        for row in cells:
            print("\t".join(each.plain for each in row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shown = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        shown.add_column(column, no_wrap=column not in wrap, overflow="fold", min_width=len(column))
    for row in cells:
        shown.add_row(*row)
    out.print(shown)


def _cell(value: Any) -> Text:
    """A cell in one line."""
    from rich.text import Text

    return value if isinstance(value, Text) else Text(printable(" ".join(str(value).split())))


def coloured(text: str, style: str) -> Text:
    """A word with a colour, for a table's cell."""
    from rich.text import Text

    return Text(printable(text), style=style)


def marked(mark: str, style: str, text: str, of_text: str = "") -> Text:
    """A text behind a mark of ours, with their styles."""
    from rich.text import Text

    return Text.assemble((mark, style), (printable(text, keep="\n"), of_text))


def age(since: float, now: float) -> str:
    """How long ago, in the two largest units: 3 d 4 h."""
    seconds = max(0, int(now - since))
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for unit, size in units:
        if seconds >= size or (unit == "s" and not parts):
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts[:2])


def memory(count: int | None) -> str:
    """A number of bytes as MB."""
    return f"{count / 1_048_576:.0f} MB" if count else "–"


def moment(since: float) -> str:
    """Seconds since the epoch as the API writes times."""
    return datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
