"""Waiting for a PostgreSQL server, which after a boot may come later than the platform."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

_PAUSE_SECONDS = 1.0
_ANSWER_SECONDS = 10
_SAID_AGAIN_SECONDS = 60.0


def wait_until_up(address: str, say: Callable[[str], None]) -> None:
    """Return once the server at this address (postgresql://…) takes connections, however long that is.

    ``say`` is told why not yet: at once, whenever the reason is another one, and every minute. What time does not mend
    (a password, a database that the server does not know, an address that is none) is not waited for: whoever connects
    next is told of it. A name that no name server knows is, since after a boot those may come late, too.
    """
    said, said_at = "", 0.0
    while reason := _why_not_yet(address):
        if reason != said or time.monotonic() - said_at >= _SAID_AGAIN_SECONDS:
            say(reason)
            said, said_at = reason, time.monotonic()
        time.sleep(_PAUSE_SECONDS)


def _why_not_yet(address: str) -> str | None:
    """Why the server can't take connections now; None where it can, or where waiting would not help."""
    try:
        wanted = make_conninfo(address, connect_timeout=_ANSWER_SECONDS)
        psycopg.connect(wanted).close()
    except psycopg.OperationalError as error:
        # It tells "is starting up" and "nobody there" from all that a server says who is up (libpq, PQping).
        if PGconn.ping(wanted.encode()) in (Ping.REJECT, Ping.NO_RESPONSE):
            return " ".join(str(error).split())
    except psycopg.Error:
        pass
    return None
