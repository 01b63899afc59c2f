"""Where a signed-in browser is kept: Django's sessions in the database, with whose they are.

https://docs.djangoproject.com/en/5.2/topics/http/sessions/#extending-database-backed-session-engines
"""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import OperationalError
from django.http import HttpRequest

from hereabouts.control.models import Session

_SEEN_SECONDS = 60.0
"""How exactly it is known when a browser was last seen."""


class SessionStore(DatabaseStore):
    """The engine that ``SESSION_ENGINE`` names."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """The table."""
        return Session

    def save(self, must_create: bool = False) -> None:
        """Store it. One that is there stays as it is while nothing can be written: else no page could be shown."""
        try:
            super().save(must_create)
        except UpdateError as error:
            if not isinstance(error.__context__, OperationalError):
                raise

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """The row of these data."""
        row = Session(
            session_key=self._get_or_create_session_key(),  # type: ignore[attr-defined]
            session_data=self.encode(data),
            expire_date=self.get_expiry_date(),
        )
        account = data.get(SESSION_KEY)
        row.account_id = int(account) if account else None
        row.address, row.agent = data.get("address", ""), data.get("agent", "")
        row.signed_in_at, row.seen_at = data.get("signed_in_at", 0.0), time.time()
        return row


def describe(request: HttpRequest) -> None:
    """Note in a new session who signed in from where."""
    request.session["address"] = address(request)
    request.session["agent"] = request.headers.get("User-Agent", "")[:300]
    request.session["signed_in_at"] = time.time()


def seen(request: HttpRequest) -> None:
    """Note that the session is in use, and from where. Pages are shown, too, while nothing can be written."""
    now, here = time.time(), address(request)
    known = Session.objects.filter(session_key=request.session.session_key, seen_at__lt=now - _SEEN_SECONDS)
    try:
        noted = known.update(seen_at=now, address=here)
    except OperationalError:
        return
    if noted and request.session.get("address") != here:
        request.session["address"] = here  # from which the row is written when the session is stored again


def address(request: HttpRequest) -> str:
    """The visitor's address, as nginx tells it."""
    return request.headers.get("X-Real-IP", "")[:45]
