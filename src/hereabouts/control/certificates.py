"""The certificates of accounts' domains: every write of what is wanted of them. It knows nothing of HTTP.

A private key passes through here to the supervisor; it is not stored in the database, logged, or told to anybody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from hereabouts import files
from hereabouts.config import Config
from hereabouts.control import asking, audit, tries
from hereabouts.control.models import Action, Certificate, Domain
from hereabouts.core import pem, renewal
from hereabouts.core.certificate import Details, Fault, Kind, file_name, lock_name
from hereabouts.core.pauses import Limit
from hereabouts.errors import NoCertificate, NoSuchDomain, OrderFailed, TooManyTries

ISSUE_SECONDS = 90.0
"""How long a call waits for the authority at the most; an order usually takes some seconds."""
_MARGIN_SECONDS = 15.0

_GLANCE_SECONDS = 0.02

_UNASKED = (Fault.DNS, Fault.UNREACHABLE)
"""Failures of which the authority never heard."""

_NOT_BEGUN = {"renew_at": 0.0, "asked_at": 0.0, "failures": 0, "next_try_at": 0.0, "problem": None}


def find(domain: Domain) -> Certificate:
    """The certificate in use for the domain. Raises NoCertificate."""
    row = Certificate.objects.filter(domain=domain).first()
    if row is not None and row.fingerprint:
        return row
    problem = "Order one, or upload your own."
    if row is not None:
        problem = f"The last order failed: {row.problem}" if row.problem else "It is being ordered."
    raise NoCertificate(domain=domain.name, problem=problem)


def order(domain: Domain) -> None:
    """Have the authority's certificate for the domain in use, now and from now on; waits for ISSUE_SECONDS at the most.

    Raises OrderFailed, after which all is as it was, save for an order that only takes its time; NoSuchDomain.
    """
    counted = _claim(domain)
    before = _want(domain)
    try:
        asking.issue(domain.name, _patience())
    except OrderFailed as failure:
        if failure.kind in _UNASKED:
            _take_back(*counted)
        elif failure.kind == Fault.PLATFORM:
            _take_back(*counted[:1])
        if failure.kind != "waiting":
            _restore(domain, before)
        else:
            audit.note(Action.CERTIFICATE_ORDER, domain.name)
        raise
    _take_back(*counted[:1])
    audit.note(Action.CERTIFICATE_ORDER, domain.name)


def _claim(domain: Domain) -> tuple[str, ...]:
    """Count an order, the platform's account at the authority being everybody's: those that failed, and all.

    Returns the keys that it counts under; none where there is a good certificate, which needs no order. Raises
    OrderFailed.
    """
    held = Certificate.objects.filter(domain=domain, kind=Kind.ACME.value).first()
    if held is not None and renewal.is_good(held.value(), time.time()):
        return ()
    config: Config = settings.CONFIG
    account = domain.website.account_id
    limits = {
        f"order-failed:{account}": Limit(free=10, longest=3600.0),
        f"order:{account}": Limit(free=config.domains_each, longest=3600.0, forget=86_400.0),
    }
    try:
        tries.claim(limits)
    except TooManyTries as many:
        problem = (
            "This account has ordered too many certificates lately, or too many orders failed: the authority counts "
            f"them for the whole platform. The next can be ordered in {many.details['wait']}."
        )
        raise OrderFailed(Fault.LIMIT, problem, time.time() + float(str(many.details["seconds"]))) from None
    return tuple(limits)


def _take_back(*keys: str) -> None:
    for key in keys:
        tries.take_back(key)


def _patience() -> float:
    """Seconds to wait for an order, so that nginx still waits for the answer."""
    config: Config = settings.CONFIG
    return min(ISSUE_SECONDS, max(1.0, config.response_seconds - _MARGIN_SECONDS))


def _want(domain: Domain) -> Certificate | None:
    """Want one from the authority. Returns the row as it was before; None where there was none."""
    before = Certificate.objects.filter(domain=domain).first()
    if before is None:
        try:
            Certificate.objects.create(name=domain.name, domain=domain, kind=Kind.ACME.value)
        except IntegrityError:
            before = Certificate.objects.filter(domain=domain).first()  # another call made it meanwhile
            if before is None:
                raise NoSuchDomain(domain=domain.name) from None
    if before is not None and before.kind != Kind.ACME.value:
        # Visitors see the uploaded one, which counts as due, until the authority's takes its place.
        same = Certificate.objects.filter(pk=before.pk, kind=before.kind, fingerprint=before.fingerprint)
        same.update(kind=Kind.ACME.value, **_NOT_BEGUN)
    return before


def _restore(domain: Domain, before: Certificate | None) -> None:
    """Undo ``_want``, unless there is a certificate by now or somebody wants something else."""
    held = before.fingerprint if before else ""
    ordered = Certificate.objects.filter(domain=domain, kind=Kind.ACME.value, fingerprint=held)
    if before is None:
        ordered.delete()
    elif before.kind != Kind.ACME.value:
        ordered.update(kind=before.kind, **_NOT_BEGUN)


def upload(domain: Domain, cert: str, private_key: str) -> None:
    """Put the owner's own certificate to use, in place of any other. Raises InvalidInput, OrderFailed, NoSuchDomain."""
    content, found = pem.parse_upload(cert, private_key, domain.name, time.time())
    with _alone(domain.name):
        if not Domain.objects.filter(pk=domain.pk).exists():  # taken over meanwhile, and another's to certify
            raise NoSuchDomain(domain=domain.name)
        _offer(domain.name, content)
        _record(domain, found)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Meanwhile nobody else changes what visitors are shown for the name, here or in the certificates process.

    So the row tells of the file in use. Raises OrderFailed.
    """
    config: Config = settings.CONFIG
    deadline = time.monotonic() + _patience()
    with files.lock(config.certificate_locks / lock_name(name)) as lock:
        while not lock():
            connection.close()
            if time.monotonic() > deadline:
                problem = f"Another change of the certificate for {name} is not over yet. Try again in a minute."
                raise OrderFailed(Fault.PLATFORM, problem)
            time.sleep(_GLANCE_SECONDS)
        yield


def _offer(name: str, content: bytes) -> None:
    """Have the supervisor take the key and chain from a file. Raises OrderFailed; then the file is gone, too."""
    config: Config = settings.CONFIG
    path = config.offered / file_name(name)
    try:
        files.directory(config.offered, mode=0o700)
        files.replace(path, content, mode=0o600)
    except OSError as error:
        problem = f"The certificate could not be stored: {error.strerror}. Nothing was changed; try again later."
        raise OrderFailed("platform", problem) from None
    try:
        asking.install(name)
    finally:
        path.unlink(missing_ok=True)


def _record(domain: Domain, found: Details) -> None:
    columns = {
        "domain": domain, "kind": Kind.UPLOADED.value, "issuer": found.issuer, "subject": found.subject,
        "names": list(found.names), "not_before": found.not_before, "not_after": found.not_after,
        "fingerprint": found.fingerprint, **_NOT_BEGUN,
    }  # fmt: skip
    try:
        with transaction.atomic():
            Certificate.objects.update_or_create(name=domain.name, defaults=columns)
            audit.note(Action.CERTIFICATE_UPLOAD, domain.name)
    except IntegrityError:  # the domain was removed meanwhile
        asking.withdraw(domain.name)
        raise NoSuchDomain(domain=domain.name) from None


def remove(domain: Domain) -> None:
    """Use no certificate of the domain's own any more, and order none. Raises NoCertificate, OrderFailed."""
    with _alone(domain.name):
        with transaction.atomic():
            if not Certificate.objects.filter(domain=domain).delete()[0]:
                raise NoCertificate(domain=domain.name, problem="There is nothing to delete.")
            audit.note(Action.CERTIFICATE_REMOVE, domain.name)
        asking.withdraw(domain.name)


def withdraw_former(name: str) -> None:
    """Show no longer what a former holder of the name had; what its holder of now has in use stays."""
    with suppress(OrderFailed), _alone(name):  # whoever is at it for so long looks after the name
        if not Certificate.objects.filter(name=name).exclude(fingerprint="").exists():
            asking.withdraw(name)
