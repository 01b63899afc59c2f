"""``hereabouts env``: what the official client needs in a shell."""

from __future__ import annotations

import shlex

from hereabouts.cli import support
from hereabouts.cli.users import Name


def env(name: Name) -> None:
    """Print `export` lines for the official client: eval "$(hereabouts env NAME)"."""
    settings = support.settings()
    account = support.account(settings, name, "env")
    from hereabouts.control import services

    for variable, value in (
        ("PYTHONANYWHERE_SITE", settings.site),
        ("PYTHONANYWHERE_DOMAIN", settings.domain),
        ("PYTHONANYWHERE_USERNAME", account.username),
        ("API_TOKEN", services.environment_token(account)),
        ("REQUESTS_CA_BUNDLE", str(settings.ca_bundle)),
    ):
        print(f"export {variable}={shlex.quote(value)}")
