"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when it is lost.

The secret that the app holds is derived from the installation's secret and a random number of the account's, so that
the database alone gives nobody a code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time

import pyotp
import segno
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from hereabouts.control import audit
from hereabouts.control.models import Account, Action, RecoveryCode, SecondFactor
from hereabouts.errors import WrongCode

RECOVERY_CODES = 10
_STEP_SECONDS = 30
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are taken for each other."""


def is_on(account: Account) -> bool:
    """Whether signing in asks for a code."""
    return SecondFactor.objects.filter(account=account, since__isnull=False).exists()


def begin(account: Account) -> SecondFactor:
    """Get the account ready for an app, with a secret that nobody has seen. One that is on is left as it is."""
    SecondFactor.objects.filter(account=account, since=None).update(salt=secrets.token_hex(32))
    return begun(account)


def begun(account: Account) -> SecondFactor:
    """What was begun, with the secret that an app may hold by now."""
    factor, _ = SecondFactor.objects.get_or_create(account=account, defaults={"salt": secrets.token_hex(32)})
    return factor


def secret(factor: SecondFactor) -> str:
    """What the app is told, in Base32: 160 bits, as RFC 4226 recommends."""
    message = f"second-factor:{factor.account.username}:{factor.account.uid}:{factor.salt}".encode()
    key = hmac.new(settings.SECRET_KEY.encode(), message, hashlib.sha256).digest()[:20]
    return base64.b32encode(key).decode()


def picture(factor: SecondFactor) -> str:
    """The secret as a QR code for an app's camera: an SVG in a data: address."""
    where = pyotp.TOTP(secret(factor)).provisioning_uri(
        name=factor.account.username, issuer_name=f"Hereabouts {settings.CONFIG.site}"
    )
    return segno.make(where, error="m", micro=False).svg_data_uri(scale=4, border=4, light="#fff", dark="#000")


def turn_on(account: Account, code: str) -> list[str]:
    """Ask for codes from now on; returns the recovery codes, which are shown here and never again.

    Raises WrongCode unless the app's code shows that it holds the secret.
    """
    factor = begun(account)
    step = _step(factor, code)
    if step is None:
        raise WrongCode
    with transaction.atomic():
        waiting = SecondFactor.objects.filter(pk=factor.pk, salt=factor.salt, since=None)
        if not waiting.update(since=timezone.now(), used_step=step):
            raise WrongCode
        audit.note(Action.SECOND_FACTOR_ON, account.username)
        return _new_codes(account)


def turn_off(account: Account) -> None:
    """Ask for codes no more; the app's secret and the recovery codes are worth nothing from now on."""
    with transaction.atomic():
        RecoveryCode.objects.filter(account=account).delete()
        was_on = is_on(account)
        SecondFactor.objects.filter(account=account).delete()
        if was_on:
            audit.note(Action.SECOND_FACTOR_OFF, account.username)


def renew_codes(account: Account) -> list[str]:
    """New recovery codes in place of those that are left. Shown here and never again."""
    with transaction.atomic():
        audit.note(Action.RECOVERY_CODES, account.username)
        return _new_codes(account)


def codes_left(account: Account) -> int:
    """How many recovery codes were not used yet."""
    return RecoveryCode.objects.filter(account=account).count()


def accepts(account: Account, code: str) -> bool:
    """Whether this is the app's code of now, or a recovery code; either is good once."""
    factor = SecondFactor.objects.filter(account=account, since__isnull=False).first()
    if factor is None:
        return False
    step = _step(factor, code)
    if step is not None:
        unused = SecondFactor.objects.filter(pk=factor.pk, salt=factor.salt, used_step__lt=step)
        return unused.update(used_step=step) == 1
    with transaction.atomic():
        used = RecoveryCode.objects.filter(account=account, code_hash=_hash(account, code)).delete()[0] == 1
        if used:
            audit.note(Action.RECOVERY_CODE_USED, account.username, f"{codes_left(account)} left")
    return used


def _step(factor: SecondFactor, code: str) -> int | None:
    """The time step whose code this is: of now, or one before or after, for clocks that differ (RFC 6238, 5.2)."""
    digits = re.sub(r"\s", "", code)
    if not re.fullmatch(r"[0-9]{6}", digits):
        return None
    app, now = pyotp.TOTP(secret(factor), interval=_STEP_SECONDS), int(time.time()) // _STEP_SECONDS
    matches = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(app.generate_otp(step), digits)]
    return max(matches, default=None)


def _new_codes(account: Account) -> list[str]:
    letters = ["".join(secrets.choice(_LETTERS) for _ in range(16)) for _ in range(RECOVERY_CODES)]
    codes = ["-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in letters]
    RecoveryCode.objects.filter(account=account).delete()
    RecoveryCode.objects.bulk_create([RecoveryCode(account=account, code_hash=_hash(account, code)) for code in codes])
    return codes


def _hash(account: Account, code: str) -> str:
    """SHA-256 will do: a code has 79 bits of chance."""
    plain = re.sub(r"[^a-z0-9]", "", code.lower())
    return hashlib.sha256(f"{account.pk}:{plain}".encode()).hexdigest()
