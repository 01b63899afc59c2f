"""``hereabouts user``: accounts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hereabouts import files, poke
from hereabouts.cli import support
from hereabouts.errors import HereaboutsError, PlatformNotRunning

if TYPE_CHECKING:
    from hereabouts.config import Config
    from hereabouts.control.models import Account

app = typer.Typer(help="Accounts: add, list, reset, suspend, resume, remove.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The account.")]
_GLANCE_SECONDS = 0.1


class StillRunning(HereaboutsError):
    """{processes} of {name} did not end within {seconds:g} s, so home, logs and account were not removed. A console may
    be open (`hereabouts shell {name}`). Close it, and run the command again."""


class NotRemoved(HereaboutsError):
    """{place} could not be removed as a whole: its disk may be read-only, or another one mounted below it. Mend that,
    and run the command again."""


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

    account = services.create_account(name, password, operator=operator).value()
    homes.make(settings, account)
    support.say(f"Added {account.name}, user id {account.uid}, home {settings.homes / account.name}.")


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

    rows = [
        {
            "name": account.username,
            "uid": account.uid,
            "operator": account.is_operator,
            "suspended": not account.is_active,
            "websites": services.websites(account).count(),
        }
        for account in services.accounts()
    ]
    if as_json:
        support.print_json(rows)
    else:
        support.table(
            ["name", "user id", "operator", "suspended", "websites"],
            [
                [r["name"], r["uid"], "yes" if r["operator"] else "", "yes" if r["suspended"] else "", r["websites"]]
                for r in rows
            ],
        )


@app.command("reset", short_help="Give an account a new random password.")
def reset(
    name: Name,
    second_factor: Annotated[bool, typer.Option("--second-factor", help="Turn its second factor off, too.")] = False,
) -> None:
    """Give an account a new random password and print it, alone. The account is signed out everywhere."""
    account = support.account(support.settings(), name, "user reset")
    from hereabouts.control import accounts
    from hereabouts.control import second_factor as factor

    if second_factor:
        factor.turn_off(account)
    print(accounts.reset_password(account))


@app.command("suspend", short_help="Let nobody in, disable its websites.")
def suspend(name: Name) -> None:
    """Let nobody in as this account, and disable its websites, until it is resumed."""
    account = support.account(support.settings(), name, "user suspend")
    from hereabouts.control import accounts

    count = len(accounts.suspend(account))
    support.say(f"{account.username} is suspended; {_websites(count)} disabled.")


@app.command("resume", short_help="End the suspension of an account.")
def resume(name: Name) -> None:
    """End the suspension of an account, and enable the websites that were enabled before."""
    account = support.account(support.settings(), name, "user resume")
    from hereabouts.control import accounts

    count = len(accounts.resume(account))
    support.say(f"{account.username} is suspended no more; {_websites(count)} enabled.")


def _websites(count: int) -> str:
    return "1 website is" if count == 1 else f"{count} websites are"


@app.command("remove", short_help="Remove an account with all that is its.")
def remove(name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False) -> None:
    """Remove an account with its websites, home and logs. Says what goes, and asks."""
    settings = support.settings()
    account = support.account(settings, name, "user remove")
    from hereabouts.control import services

    websites = list(services.websites(account))
    places = [settings.homes / account.username, settings.logs / account.username]
    support.say(f"This removes the account {account.username} for good:")
    for website in websites:
        support.say(f"  website  {website.domain_name}")
    for label, place in zip(("home", "logs"), places, strict=True):
        if place.exists():
            support.say(f"  {label:<7}  {place} ({support.memory(_size(place))})")
    if not yes and not typer.confirm("Remove all of it?"):
        raise typer.Exit(1)
    _stop(settings, account)
    for place in places:
        files.remove_tree(place)
        if place.exists():
            raise NotRemoved(place=place)
    services.remove_account(account)
    support.say(f"Removed {account.username}.")


def _stop(settings: Config, account: Account) -> None:
    """Suspend the account, so that it makes nothing new, delete its websites, and wait until none of its processes is
    left: websites' of this run or of one that was interrupted, or consoles'.
    """
    from hereabouts.control import accounts, services
    from hereabouts.daemons import processes

    accounts.suspend(account)
    websites = list(services.websites(account))
    ids = {website.pk for website in websites}
    seconds = settings.drain_seconds + settings.stop_seconds + 10
    deadline = time.monotonic() + seconds

    def running() -> int:
        return processes.count_of(account.uid, f"hereabouts-{settings.tag}")

    try:
        _sandboxes(settings, ids)  # nothing is deleted while nobody answers
        for website in websites:
            services.delete_website(website)
        for number in ids:
            poke.settle(settings.supervisor_socket, number, 0, 0)
        while left := max(len(_sandboxes(settings, ids)), running()):
            if time.monotonic() > deadline:
                what = "1 process" if left == 1 else f"{left} processes"
                raise StillRunning(name=account.username, processes=what, seconds=seconds)
            time.sleep(_GLANCE_SECONDS)
    except PlatformNotRunning:
        if running():
            raise MayRun(name=account.username) from None


def _sandboxes(settings: Config, websites: set[int]) -> list[object]:
    """The sandboxes of these websites that run. Raises PlatformNotRunning."""
    answer = json.loads(poke.ask(settings.supervisor_socket, "status", seconds=5))
    return [sandbox for sandbox in answer["sandboxes"] if sandbox["website"] in websites]


def _size(place: Path) -> int:
    """In bytes, as du(1) counts them, however deep it is; 0 where that can't be told."""
    command = ["du", "--summarize", "--apparent-size", "--block-size=1", "--", str(place)]
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    return int(said.split()[0]) if said else 0
