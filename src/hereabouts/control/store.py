"""The supervisor's view of the database, through Django's models."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import IntegrityError, close_old_connections, connection

from hereabouts.control.models import Domain
from hereabouts.control.models import Observation as ObservationRow
from hereabouts.core.webapp import Observation, Website

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

    @_fresh
    def websites(self) -> list[Website]:
        """Every website, in one query."""
        rows = Domain.objects.filter(is_main=True).select_related("website__account")
        return [_website(row) for row in rows.iterator(chunk_size=1000)]

    @_fresh
    def website(self, website_id: int) -> Website | None:
        """One website, or None."""
        rows = Domain.objects.filter(is_main=True, website_id=website_id)
        row = rows.select_related("website__account").first()
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


def _website(row: Domain) -> Website:
    return row.website.value(row.name)
