"""The loops' view of the database, through Django's models."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import IntegrityError, close_old_connections, connection
from django.db.models import F, QuerySet

from hereabouts.control.models import Certificate as CertificateRow
from hereabouts.control.models import Domain
from hereabouts.control.models import Observation as ObservationRow
from hereabouts.core.certificate import Certificate, Kind, Lookup
from hereabouts.core.domains import is_custom
from hereabouts.core.webapp import Account, Alias, Observation, Website, parse_health

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _fresh(call: Callable[_P, _T]) -> Callable[_P, _T]:
    """Leave a connection that failed, so that the next call has a good one."""

    @wraps(call)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        close_old_connections()
        try:
            return call(*args, **kwargs)
        except IntegrityError:
            raise
        except Exception:
            connection.close()
            raise

    return guarded


class DjangoStore:
    """Implements ``core.store.Store`` and ``core.store.CertificateStore``."""

    def __init__(self) -> None:
        self._read: tuple[object, list[Website]] = (None, [])
        self._writes = 0

    @_fresh
    def websites(self) -> list[Website]:
        """Every website, in two queries; the same list again while nobody else has changed the database."""
        version = _version()
        if version is None or version != self._read[0]:
            aliases = _aliases()
            self._read = (version, [_website(row, aliases) for row in _rows().iterator(chunk_size=1000)])
        return self._read[1]

    @_fresh
    def website(self, website_id: int) -> Website | None:
        """One website, or None."""
        row = _rows().filter(website_id=website_id).first()
        return _website(row, _aliases(website_id)) if row else None

    @_fresh
    def observations(self) -> dict[int, Observation]:
        """What was last recorded."""
        return {row.pk: row.value() for row in ObservationRow.objects.all()}

    @_fresh
    def record(self, website_id: int, observation: Observation) -> None:
        """Keep what was seen; a website deleted meanwhile is passed over."""
        row = ObservationRow(
            website_id=website_id,
            status=observation.status.value,
            since=observation.since,
            detail=observation.detail,
            serving=observation.serving,
            failed=observation.failed,
        )
        fields = ["status", "since", "detail", "serving", "failed"]
        try:
            ObservationRow.objects.bulk_create(
                [row], update_conflicts=True, unique_fields=["website"], update_fields=fields
            )
        except IntegrityError:
            return

    @_fresh
    def version(self) -> object:
        """What is another one once somebody has changed the database, or this store a certificate; None: unknown."""
        version = _version()
        return None if version is None else (version, self._writes)

    @_fresh
    def certificates(self) -> list[Certificate]:
        """Every certificate that is wanted."""
        return [row.value() for row in CertificateRow.objects.all()]

    @_fresh
    def certificate(self, name: str) -> Certificate | None:
        """One of them, or None."""
        row = CertificateRow.objects.filter(name=name).first()
        return row.value() if row else None

    @_fresh
    def record_certificate(self, found: Certificate) -> bool:
        """Keep how it stands; False for what is not wanted any more, or is of another kind now."""
        self._writes += 1
        held = found.details
        columns = {} if held is None else {
            "issuer": held.issuer, "subject": held.subject, "names": list(held.names), "not_before": held.not_before,
            "not_after": held.not_after, "fingerprint": held.fingerprint,
        }  # fmt: skip
        known = CertificateRow.objects.filter(name=found.name, kind=found.kind.value).update(
            **columns,
            renew_at=found.renew_at,
            asked_at=found.asked_at,
            failures=found.failures,
            next_try_at=found.next_try_at,
            problem=found.problem,
        )
        return known > 0

    @_fresh
    def want_certificate(self, name: str) -> None:
        """Want one from the authority; one that is wanted already is left."""
        self._writes += 1
        CertificateRow.objects.bulk_create([CertificateRow(name=name, kind=Kind.ACME.value)], ignore_conflicts=True)

    @_fresh
    def order_anew(self) -> None:
        """Make every certificate from an authority due now, those in pause after a failure, too."""
        self._writes += 1
        CertificateRow.objects.filter(kind=Kind.ACME.value).update(renew_at=0.0, failures=0, next_try_at=0.0)

    @_fresh
    def settle_own_names(self, hosts: Collection[str], *, websites: bool) -> list[str]:
        """Want certificates for the names that are the platform's now, and for former ones of it none any more."""
        self._writes += 1
        former = CertificateRow.objects.filter(domain=None).exclude(name__in=hosts)
        gone = list(former.values_list("name", flat=True))
        former.filter(name__in=gone).delete()
        if websites:
            bare = Domain.objects.filter(certificate=None, name__endswith=f".{settings.CONFIG.domain}")
            wanted = [CertificateRow(name=each.name, domain=each, kind=Kind.ACME.value) for each in bare]
            CertificateRow.objects.bulk_create(wanted, ignore_conflicts=True)
        return gone

    @_fresh
    def custom_domains(self) -> dict[str, int]:
        """Every custom domain, with the id of its website."""
        found = Domain.objects.values_list("name", "website_id")
        return {name: website for name, website in found if is_custom(name, settings.CONFIG.domain)}

    @_fresh
    def custom_domain(self, name: str) -> int | None:
        """The id of a custom domain's website; None for another name."""
        if not is_custom(name, settings.CONFIG.domain):
            return None
        return Domain.objects.filter(name=name).values_list("website_id", flat=True).first()

    @_fresh
    def record_lookup(self, lookup: Lookup) -> None:
        """Keep what the DNS said."""
        Domain.objects.filter(name=lookup.name).update(dns_detail=lookup.detail, dns_checked_at=lookup.checked_at)


def _version() -> object:
    """What tells whether another connection wrote since this was last asked; None where nothing can.

    https://www.sqlite.org/pragma.html#pragma_data_version: good for one connection, hence with the connection.
    """
    if connection.vendor != "sqlite":
        return None
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA data_version")
        return connection.connection, cursor.fetchone()[0]


def _rows() -> QuerySet[Domain, Any]:
    """One row a website, without the cost of model instances: this is read every few seconds."""
    return Domain.objects.filter(is_main=True).values(
        "website_id",
        "name",
        username=F("website__account__username"),
        uid=F("website__account__uid"),
        token_epoch=F("website__account__token_epoch"),
        command=F("website__command"),
        enabled=F("website__enabled"),
        generation=F("website__generation"),
        stop_first=F("website__stop_first"),
        health_path=F("website__health_path"),
        health_status=F("website__health_status"),
        health_seconds=F("website__health_seconds"),
        force_https=F("website__force_https"),
        hsts_seconds=F("website__hsts_seconds"),
    )


def _aliases(website_id: int | None = None) -> dict[int, tuple[Alias, ...]]:
    """The other names of websites, by website."""
    found: dict[int, tuple[Alias, ...]] = {}
    rows = Domain.objects.filter(is_main=False).order_by("pk")
    chosen = rows if website_id is None else rows.filter(website_id=website_id)
    for number, name, redirects in chosen.values_list("website_id", "name", "redirects"):
        found[number] = (*found.get(number, ()), Alias(name, redirects))
    return found


def _website(row: Mapping[str, Any], aliases: Mapping[int, tuple[Alias, ...]]) -> Website:
    return Website(
        id=row["website_id"],
        domain=row["name"],
        account=Account(row["username"], row["uid"], row["token_epoch"]),
        command=row["command"],
        enabled=row["enabled"],
        generation=row["generation"],
        stop_first=row["stop_first"],
        health=parse_health(row["health_path"], row["health_status"], row["health_seconds"]),
        aliases=aliases.get(row["website_id"], ()),
        force_https=row["force_https"],
        hsts_seconds=row["hsts_seconds"],
    )
