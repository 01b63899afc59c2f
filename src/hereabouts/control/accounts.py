"""What becomes of accounts: passwords, suspension, sign-up. Like services, it knows nothing of HTTP."""

from __future__ import annotations

import secrets
import shlex

from django.conf import settings
from django.db import transaction
from django.db.models import F

from hereabouts.config import Config
from hereabouts.control import asking, audit, services, sign_ins
from hereabouts.control.models import Account, Action, Website
from hereabouts.errors import NotAllowed


def create(name: str, password: str, *, operator: bool = False) -> Account:
    """A new account with its home; while the supervisor is away that is left to its first website or console.

    Raises InvalidInput, AccountExists, NoFreeUid.
    """
    account = services.create_account(name, password, operator=operator)
    asking.home(account.username, account.uid)
    return account


def change_password(account: Account, password: str, *, keep: str | None = None) -> None:
    """Give the account another password. Its sessions end, but for the one with the key ``keep``.

    That the caller knows the old one is for sign_ins.check_again. Raises InvalidInput for a weak one.
    """
    _write_password(account, password, Action.PASSWORD_CHANGE, keep)


def random_password() -> str:
    """One that nobody guesses (96 bits) and people can type."""
    return "-".join(secrets.token_hex(3) for _ in range(4))


def reset_password(account: Account) -> str:
    """A new random password, shown here and never again. All sessions of the account end."""
    password = random_password()
    _write_password(account, password, Action.PASSWORD_RESET, None)
    sign_ins.forget_tries(account)
    return password


def _write_password(account: Account, password: str, action: Action, keep: str | None) -> None:
    services.set_password(account, password)
    with transaction.atomic():
        account.save(update_fields=["password"])
        sign_ins.end_sessions(account, keep=keep)
        audit.note(action, account.username)


def suspend(account: Account) -> list[Website]:
    """Let nobody in as this account, and disable its websites; returns those, for the supervisor to be told.

    Its tokens, its sandboxes' one included, are refused and its sessions end at once.
    """
    with transaction.atomic():
        if not Account.objects.filter(pk=account.pk, is_active=True).update(is_active=False):
            return []
        account.is_active = False
        sign_ins.end_sessions(account)
        audit.note(Action.ACCOUNT_SUSPEND, account.username)
        stopped = list(services.websites(account).filter(enabled=True))
        Website.objects.filter(account=account).update(resumes=F("enabled"), enabled=False)
        audit.note_each(Action.WEBSITE_DISABLE, [website.domain_name for website in stopped])
    return stopped


def resume(account: Account) -> list[Website]:
    """End the suspension: tokens and password are good again, the websites that were enabled before are again.

    Returns those, for the supervisor to be told.
    """
    with transaction.atomic():
        if not Account.objects.filter(pk=account.pk, is_active=False).update(is_active=True):
            return []
        account.is_active = True
        audit.note(Action.ACCOUNT_RESUME, account.username)
        resumed = list(services.websites(account).filter(resumes=True))
        same = Website.objects.filter(account=account, resumes=True)
        same.update(enabled=True, resumes=False, generation=F("generation") + 1)
        audit.note_each(Action.WEBSITE_ENABLE, [website.domain_name for website in resumed])
    return resumed


def exports(account: Account, token: str, bundle: str) -> str:
    """The lines with which a shell is made ready for the official client.

    ``bundle`` is the file by which it trusts the platform's certificate, empty where none is needed; ``$HOME`` in it
    is the shell's.
    """
    config: Config = settings.CONFIG
    lines = {
        "PYTHONANYWHERE_SITE": shlex.quote(config.site),
        "PYTHONANYWHERE_DOMAIN": shlex.quote(config.domain),
        "PYTHONANYWHERE_USERNAME": shlex.quote(account.username),
        "API_TOKEN": shlex.quote(token),
    }
    if bundle:
        lines["REQUESTS_CA_BUNDLE"] = f'"{bundle}"' if bundle.startswith("$HOME/") else shlex.quote(bundle)
    return "".join(f"export {name}={value}\n" for name, value in lines.items())


def sign_up(name: str, password: str, address: str) -> Account:
    """The account that somebody makes for himself, where the operator lets people do so.

    Raises NotAllowed, TooManyTries, InvalidInput, AccountExists, NoFreeUid.
    """
    if not settings.CONFIG.sign_up:
        raise NotAllowed(problem="Accounts are made by the operator of this platform. Ask there.")
    with sign_ins.signing_up(address):
        return create(name, password)
