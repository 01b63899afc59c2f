"""``hereabouts env``: what the official client needs in a shell."""

from __future__ import annotations

from hereabouts.cli import support
from hereabouts.cli.users import Name


def env(name: Name) -> None:
    """Print `export` lines for the official client: eval "$(hereabouts env NAME)"."""
    settings = support.settings()
    account = support.account(settings, name, "env")
    from hereabouts.control import accounts, services

    print(accounts.exports(account, services.environment_token(account), str(settings.ca_bundle)), end="")
