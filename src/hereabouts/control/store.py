"""The supervisor's view of the database, through Django's models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import IntegrityError, close_old_connections, connection
from django.db.models import F, QuerySet

from hereabouts.control.models import Domain
from hereabouts.control.models import Observation as ObservationRow
from hereabouts.core.webapp import Account, Observation, Website, parse_health

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
    """Implements ``core.store.Store``."""

    def __init__(self) -> None:
        self._read: tuple[object, list[Website]] = (None, [])

    @_fresh
    def websites(self) -> list[Website]:
        """Every website, in one query; the same list again while nobody else has changed the database."""
        version = _version()
        if version is None or version != self._read[0]:
            self._read = (version, [_website(row) for row in _rows().iterator(chunk_size=1000)])
        return self._read[1]

    @_fresh
    def website(self, website_id: int) -> Website | None:
        """One website, or None."""
        row = _rows().filter(website_id=website_id).first()
        return _website(row) if row else None

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
    )


def _website(row: Mapping[str, Any]) -> Website:
    return Website(
        id=row["website_id"],
        domain=row["name"],
        account=Account(row["username"], row["uid"], row["token_epoch"]),
        command=row["command"],
        enabled=row["enabled"],
        generation=row["generation"],
        stop_first=row["stop_first"],
        health=parse_health(row["health_path"], row["health_status"], row["health_seconds"]),
    )
