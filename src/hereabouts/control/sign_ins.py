"""Who may sign in: passwords and codes, checked with growing pauses against guessing. It knows nothing of HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from hereabouts.control import audit, second_factor, tries
from hereabouts.control.models import Account, Action, Session
from hereabouts.core.pauses import Limit
from hereabouts.core.webapp import parse_account_name
from hereabouts.errors import (
    AccountExists,
    AccountSuspended,
    HereaboutsError,
    InvalidInput,
    WrongCode,
    WrongPassword,
)

_NAME = Limit(free=5, longest=300.0)
_ADDRESS = Limit(free=20, longest=900.0)
_CODE = Limit(free=5, longest=900.0, forget=86_400.0)
_SIGN_UP = Limit(free=5, longest=3600.0, forget=86_400.0)
_NOBODY = "an unknown name"


def check(name: str, password: str, address: str) -> Account:
    """The account of that name, if the password is right; who has a second factor is not in yet.

    As long for an unknown name as for a wrong password. Raises WrongPassword, AccountSuspended, TooManyTries.
    """
    known = _parse(name)
    account = Account.objects.filter(username=known).first() if known else None
    with _tried(f"name:{known}" if known else "", _NAME, address):
        if account is None:
            make_password(password)
        if account is None or not account.check_password(password):
            _failed(account, address)
            raise WrongPassword
    if not account.is_active:
        raise AccountSuspended(name=account.username)
    return account


def check_again(account: Account, password: str, address: str) -> None:
    """That whoever is signed in knows the password. Raises InvalidInput, TooManyTries."""
    with _tried(f"again:{account.username}", _NAME, address):
        if not account.check_password(password):
            raise InvalidInput("password", "That is not your password.")


def check_code(account: Account, code: str, address: str) -> None:
    """The code of the second factor, or a recovery code in its place. Raises WrongCode, TooManyTries."""
    with _tried(f"code:{account.username}", _CODE, address):
        if not second_factor.accepts(account, code):
            _failed(account, address)
            raise WrongCode


@contextmanager
def signing_up(address: str) -> Iterator[None]:
    """Within the block somebody makes an account for himself. Raises TooManyTries.

    Accounts that were made count, and names that were taken, of which nobody is to learn many. A form that was filled
    in badly does not.
    """
    made, taken = (f"{kind}:{tries.of_address(address)}" for kind in ("sign-up", "sign-up-taken"))
    tries.claim({made: _SIGN_UP, taken: _ADDRESS})
    try:
        yield
    except AccountExists:
        tries.take_back(made)
        raise
    except HereaboutsError:
        tries.take_back(made)
        tries.take_back(taken)
        raise
    tries.take_back(taken)


def forget_tries(account: Account) -> None:
    """Let the account's owner sign in without a pause, whatever was tried before."""
    for kind in ("name", "again", "code"):
        tries.forget(f"{kind}:{account.username}")


def sessions(account: Account) -> QuerySet[Session]:
    """The browsers in which somebody is signed in as this account, the latest first."""
    return Session.objects.filter(account=account, expire_date__gt=timezone.now()).order_by("-seen_at", "-signed_in_at")


def end_session(session: Session) -> None:
    """Sign that browser out."""
    with transaction.atomic():
        ended = Session.objects.filter(pk=session.pk).delete()[0]
        if ended and session.account is not None:
            audit.note(Action.SESSION_END, session.account.username, f"the one from {session.address}")


def end_sessions(account: Account, *, keep: str | None = None) -> int:
    """Sign every browser out, but for the one whose session has the key ``keep``. Returns how many."""
    with transaction.atomic():
        ended = Session.objects.filter(account=account).exclude(pk=keep or "").delete()[0]
        if ended:
            audit.note(Action.SESSIONS_END, account.username, f"{ended} {'session' if ended == 1 else 'sessions'}")
    return ended


def forget_expired() -> None:
    """Remove what browsers left behind that never came back."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()


@contextmanager
def _tried(key: str, limit: Limit, address: str) -> Iterator[None]:
    """A try under the key, if any, and from the address; it counts unless the block goes through."""
    place = f"address:{tries.of_address(address)}"
    tries.claim({place: _ADDRESS, **({key: limit} if key else {})})
    yield
    tries.take_back(place)
    if key:
        tries.forget(key)


def _parse(name: str) -> str:
    """The name as accounts have them; empty for what can't be one. What was typed by mistake is noted nowhere."""
    try:
        return parse_account_name(name)
    except InvalidInput:
        return ""


def _failed(account: Account | None, address: str) -> None:
    with transaction.atomic():
        before = audit.actor()
        audit.act_as("", before.way, address)
        audit.note(Action.SIGN_IN_FAILED, account.username if account else _NOBODY)
        audit.act_as(before.name, before.way, before.address)
