"""Accounts, websites and tokens: made, changed, removed. It knows nothing of HTTP."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import F, Prefetch, Q, QuerySet
from django.utils import timezone

from hereabouts.config import Config
from hereabouts.control import audit, domains
from hereabouts.control.models import Account, Action, Domain, Website
from hereabouts.core.domains import parse_domain
from hereabouts.core.webapp import (
    check_hsts,
    parse_account_name,
    parse_command,
    parse_health,
    sandbox_token,
    sandbox_token_uid,
)
from hereabouts.errors import (
    AccountExists,
    AccountSuspended,
    DomainTaken,
    InvalidInput,
    NoFreeUid,
    NoSuchAccount,
    NoSuchWebsite,
    WebsiteDisabled,
)

_WEBAPP_SETTINGS = (
    "command", "stop_first", "health_path", "health_status", "health_seconds", "force_https", "hsts_seconds",
)  # fmt: skip
_USE_NOTED = timedelta(minutes=1)


def _config() -> Config:
    config: Config = settings.CONFIG
    return config


def create_account(name: str, password: str | None, *, operator: bool = False) -> Account:
    """A new account with the lowest free uid; without a password nobody can sign in as it.

    Raises InvalidInput for a bad name or a weak password, AccountExists, NoFreeUid.
    """
    name = parse_account_name(name)
    # A name that is used again does not begin with the tokens of the sandboxes of its former owner.
    account = Account(username=name, is_operator=operator, token_epoch=secrets.randbelow(1 << 30))
    if password is None:
        account.set_unusable_password()
    else:
        set_password(account, password)
    for _ in range(20):  # another process may take the uid between the look and the insert
        account.uid = _free_uid()
        try:
            with transaction.atomic():
                account.save(force_insert=True)
                audit.note(Action.ACCOUNT_CREATE, name, "operator" if operator else "")
        except IntegrityError:
            if Account.objects.filter(username=name).exists():
                raise AccountExists(name=name) from None
            continue
        return account
    raise NoFreeUid(count=_config().uid_count)


def set_password(account: Account, password: str) -> None:
    """Give the account a password, unsaved. Raises InvalidInput for one that is too easily guessed."""
    try:
        validate_password(password, account)
    except ValidationError as error:
        raise InvalidInput("password", " ".join(error.messages)) from None
    account.set_password(password)


def _free_uid() -> int:
    config = _config()
    taken = set(Account.objects.values_list("uid", flat=True))
    first = config.uid_first + 1  # the first of the range is the platform's own
    free = next((uid for uid in range(first, config.uid_first + config.uid_count) if uid not in taken), None)
    if free is None:
        raise NoFreeUid(count=config.uid_count)
    return free


def accounts() -> QuerySet[Account]:
    """Every account, by name."""
    return Account.objects.order_by("username")


def find_account(name: str) -> Account:
    """The account of that name, in any case. Raises NoSuchAccount."""
    plain = name.strip().lower()
    account = Account.objects.filter(username=plain).first() if plain.isalnum() else None
    if account is None:
        raise NoSuchAccount(name=name)
    return account


def remove_account(account: Account) -> None:
    """Delete the account and what is stored of its websites. Its files are the caller's to remove."""
    with transaction.atomic():
        domains.lock_account(account)
        list(Website.objects.select_for_update().filter(account=account).order_by("pk"))
        if Account.objects.filter(pk=account.pk).delete()[0]:
            audit.note(Action.ACCOUNT_REMOVE, account.username)


def create_token(account: Account) -> str:
    """A new API token, 40 hex digits; the old one ends at once. It is shown here and never again."""
    token = secrets.token_hex(20)
    _set_token(account, Action.TOKEN_CREATE, token_hash=_hash(token), token_created_at=timezone.now())
    return token


def revoke_token(account: Account) -> None:
    """End the account's token, and the one its sandboxes carry, at once."""
    _set_token(account, Action.TOKEN_REVOKE, token_hash=None, token_created_at=None)


def _set_token(account: Account, action: Action, **columns: Any) -> None:
    unused = {"token_used_at": None, "token_used_from": ""}
    with transaction.atomic():
        same = Account.objects.filter(pk=account.pk)
        if same.update(**columns, **unused, token_epoch=F("token_epoch") + 1):
            audit.note(action, account.username)
    account.refresh_from_db()


def environment_token(account: Account) -> str:
    """The token that the account's sandboxes, and `hereabouts env`, carry."""
    return sandbox_token(settings.SECRET_KEY.encode(), account.value())


def authenticate_token(token: str, address: str = "") -> Account | None:
    """Whose token this is, be it the account's own or the one that its sandboxes carry; None for nobody's.

    When and from which address the account's own was last used is kept, to the minute.
    """
    uid = sandbox_token_uid(token)
    if uid is None:
        return None
    hashed = _hash(token)
    for account in Account.objects.filter(Q(token_hash=hashed) | Q(uid=uid), is_active=True):
        if account.token_hash == hashed:
            _note_use(account, address)
            return account
        if hmac.compare_digest(environment_token(account), token):
            return account
    return None


def acts_for_others(account: Account, token: str) -> bool:
    """Whether this token of the account opens others' websites, too: an operator's own, not that of his sandboxes,
    in which websites run.
    """
    return account.is_operator and account.token_hash == _hash(token)


def _note_use(account: Account, address: str) -> None:
    """Keep that the token was used. Calls are answered, too, while nothing can be written."""
    now, before = timezone.now(), account.token_used_at
    if before is not None and abs(now - before) < _USE_NOTED:
        return
    same = Account.objects.filter(pk=account.pk, token_hash=account.token_hash, token_used_at=before)
    try:
        same.update(token_used_at=now, token_used_from=address[:45])
    except OperationalError:
        return


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def websites(account: Account | None = None) -> QuerySet[Website]:
    """The account's websites (everybody's without one), oldest first, with all that an answer tells of them."""
    names = Prefetch("domains", Domain.objects.select_related("certificate").order_by("-is_main", "pk"))
    found = Website.objects.select_related("account", "observation").prefetch_related(names).order_by("pk")
    return found if account is None else found.filter(account=account)


def websites_by_name(account: Account, part: str = "") -> QuerySet[Website]:
    """The account's websites by their main names; only those of which a name holds ``part``."""
    found = websites(account).filter(domains__is_main=True).order_by("domains__name")
    if part:
        found = found.filter(pk__in=Domain.objects.filter(name__icontains=part).values("website"))
    return found


def find_website(account: Account | None, domain: str) -> Website:
    """The account's website with this (parsed or raw) domain. Raises NoSuchWebsite."""
    try:
        name = parse_domain(domain)
    except InvalidInput:
        raise NoSuchWebsite(domain=domain) from None
    website = websites(account).filter(domains__name=name).first()
    if website is None:
        raise NoSuchWebsite(domain=domain)
    return website


def latest(website: Website) -> Website:
    """The website as it is stored now. Raises NoSuchWebsite once it is deleted."""
    found = websites().filter(pk=website.pk).first()
    if found is None:
        raise NoSuchWebsite(domain=website.domain_name)
    return found


def create_website(
    account: Account,
    domain_name: str,
    webapp: Mapping[str, Any],
    *,
    enabled: bool = True,
    former: int | None = None,
) -> Website:
    """A new website; ``webapp`` holds its command and, where wanted, its other settings.

    The domain is taken from the website ``former``, where that one must give it up (see claims.take). Raises
    InvalidInput, DomainTaken, or NoSuchAccount when the account is being removed.
    """
    name = domains.parse_owned(account, domain_name)
    wanted = Website(account=account, enabled=enabled)
    _assign(wanted, webapp)
    try:
        with transaction.atomic():
            _check_active(account)
            if former is not None:
                domains.release(name, former)
            wanted.save(force_insert=True)
            domains.hold(wanted, name, is_main=True)
            audit.note(Action.WEBSITE_CREATE, name)
    except IntegrityError:
        if Account.objects.filter(pk=account.pk).exists():
            raise DomainTaken(domain=name) from None
        raise NoSuchAccount(name=account.username) from None  # removed meanwhile
    return latest(wanted)


def change_website(website: Website, webapp: Mapping[str, Any] | None = None, *, enabled: bool | None = None) -> int:
    """Enable, disable or give other settings; what is so already is left alone. Returns the generation.

    Enabling and another command need a new process, hence a new generation.
    """
    changed = _assign(website, webapp or {})
    same = Website.objects.filter(pk=website.pk)
    name = _known_as(website)
    with transaction.atomic():
        if enabled is True:
            _check_active(website.account)
        if "command" in changed:
            same.exclude(command=website.command).update(generation=F("generation") + 1)
        if changed:
            before = same.values(*changed).first() or {}
            same.update(**{column: getattr(website, column) for column in changed})
            if different := [column for column in before if before[column] != getattr(website, column)]:
                audit.note(Action.WEBSITE_CHANGE, name, ", ".join(different))
        if enabled is True:
            if same.filter(enabled=False).update(enabled=True, resumes=False, generation=F("generation") + 1):
                audit.note(Action.WEBSITE_ENABLE, name)
        elif enabled is False:
            same.filter(resumes=True).update(resumes=False)
            if same.filter(enabled=True).update(enabled=False):
                audit.note(Action.WEBSITE_DISABLE, name)
        return _generation(website)


def _check_active(account: Account) -> None:
    """Within a transaction: whether the account may start anything. Raises AccountSuspended."""
    found = domains.lock_account(account)
    if found and not found.is_active:
        raise AccountSuspended(name=account.username)


def _known_as(website: Website) -> str:
    """The website's name for the audit log, even of one that was deleted meanwhile."""
    try:
        return website.domain_name
    except NoSuchWebsite:
        return f"number {website.pk}"


def _assign(website: Website, webapp: Mapping[str, Any]) -> list[str]:
    """Set the webapp's settings on the row, unsaved; returns the names of those given. Raises InvalidInput."""
    given = [name for name in _WEBAPP_SETTINGS if name in webapp]
    for name in given:
        setattr(website, name, webapp[name])
    website.command = parse_command(website.command)
    parse_health(website.health_path, website.health_status, website.health_seconds)
    check_hsts(website.hsts_seconds)
    return given


def reload_website(website: Website) -> int:
    """Ask for a new process beside the running one. Returns the generation that it will be.

    Raises WebsiteDisabled, NoSuchWebsite.
    """
    with transaction.atomic():
        if not Website.objects.filter(pk=website.pk, enabled=True).update(generation=F("generation") + 1):
            latest(website)
            raise WebsiteDisabled(domain=website.domain_name)
        audit.note(Action.WEBSITE_RELOAD, _known_as(website))
        return _generation(website)


def delete_website(website: Website) -> None:
    """Delete the website; the supervisor ends its processes and removes its logs."""
    name = _known_as(website)
    with transaction.atomic():
        domains.lock(website.pk)
        if Website.objects.filter(pk=website.pk).delete()[0]:
            audit.note(Action.WEBSITE_DELETE, name)


def _generation(website: Website) -> int:
    found = Website.objects.filter(pk=website.pk).values_list("generation", flat=True).first()
    if found is None:
        raise NoSuchWebsite(domain=website.domain_name)
    return found
