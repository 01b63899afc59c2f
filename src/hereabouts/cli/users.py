"""``hereabouts user``: accounts."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hereabouts.cli import support
from hereabouts.errors import HereaboutsError, PlatformNotRunning

if TYPE_CHECKING:
    from hereabouts.config import Config
    from hereabouts.core.webapp import Website

app = typer.Typer(help="Accounts: add, list, remove.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The account.")]
_STOP_SECONDS = 60.0


class StillRunning(HereaboutsError):
    """The websites of {name} did not stop within {seconds:g} s, so nothing else was removed. Run the command again."""


class MayRun(HereaboutsError):
    """The supervisor does not answer, and sandboxes of {name} may still run. Start the platform with `make up`,
    then remove the account."""


@app.command("add")
def add(
    name: Name,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
    ] = False,
    operator: Annotated[bool, typer.Option("--operator", help="May use the administration pages.")] = False,
) -> None:
    """Add an account. Asks for its password; an empty one means that it can't log in with one."""
    support.need_root("user add")
    settings = support.settings()
    password = _password(password_stdin)
    support.database(settings, must_exist=False)
    from hereabouts.control import services
    from hereabouts.sandbox import homes

    account = services.create_account(name, password, operator=operator)
    homes.ensure(settings, account)
    support.console().print(f"Added {account.name}, user id {account.uid}, home {settings.homes / account.name}.")


def _password(from_stdin: bool) -> str | None:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n") or None
    if not sys.stdin.isatty():
        return None
    text: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, default="", show_default=False)
    return text or None


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the accounts."""
    support.need_root("user list")
    support.database(support.settings())
    from hereabouts.control import services

    websites = services.list_websites()
    rows = [
        {
            "name": account.name,
            "uid": account.uid,
            "websites": sum(website.account.name == account.name for website in websites),
        }
        for account in services.list_accounts()
    ]
    if as_json:
        support.print_json(rows)
    else:
        support.table(["name", "user id", "websites"], [list(row.values()) for row in rows])


@app.command("remove")
def remove(name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False) -> None:
    """Remove an account with its websites, home and logs. Says what goes, and asks."""
    settings = support.settings()
    account = support.account(settings, name, "user remove")
    from hereabouts.control import services

    websites = [website for website in services.list_websites() if website.account.name == account.name]
    places = [settings.homes / account.name, settings.logs / account.name]
    out = support.console()
    out.print(f"This removes the account {account.name} for good:")
    for website in websites:
        out.print(f"  website  {website.domain}")
    for label, place in zip(("home", "logs"), places, strict=True):
        if place.exists():
            out.print(f"  {label:<7}  {place} ({support.memory(_size(place))})")
    if not yes and not typer.confirm("Remove all of it?"):
        raise typer.Exit(1)
    _stop(settings, account.name, websites)
    for place in places:
        if place.exists():
            shutil.rmtree(place)
    services.remove_account(account.name)
    out.print(f"Removed {account.name}.")


def _stop(settings: Config, name: str, websites: list[Website]) -> None:
    """Delete the websites, and see to it that none of their processes is left."""
    from hereabouts import poke
    from hereabouts.control import services

    running = True
    try:
        poke.ask(settings.supervisor_socket, "status", seconds=5)
    except PlatformNotRunning:
        running = False
        ids = {str(website.id) for website in websites}
        left = settings.instances.iterdir() if settings.instances.is_dir() else iter(())
        if any(instance.name.partition("-")[0] in ids for instance in left):
            raise MayRun(name=name) from None
    for website in websites:
        services.delete_website(website.account, website.domain)
        if running and not poke.settle(settings.supervisor_socket, website.id, website.generation, _STOP_SECONDS):
            raise StillRunning(name=name, seconds=_STOP_SECONDS)


def _size(place: Path) -> int:
    return sum(path.lstat().st_size for path in place.rglob("*") if path.is_file() or path.is_symlink())
