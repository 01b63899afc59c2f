"""``hereabouts token``: what clients show to the API."""

from __future__ import annotations

import typer

from hereabouts.cli import support
from hereabouts.cli.users import Name

app = typer.Typer(help="API tokens: create, revoke.", no_args_is_help=True)


@app.command("create", short_help="Create a new API token and print it.")
def create(name: Name) -> None:
    """Create a new API token and print it, alone. The one before ends at once."""
    account = support.account(support.settings(), name, "token create")
    from hereabouts.control import services

    print(services.create_token(account))


@app.command("revoke")
def revoke(name: Name) -> None:
    """End the account's API token at once."""
    account = support.account(support.settings(), name, "token revoke")
    from hereabouts.control import services

    services.revoke_token(account)
    support.say(f"The API token of {account.username} has ended.")
