"""Request bodies: read to their end before Django begins, and refused when they are too large, or too many at once.

Notes the arrival.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string

from hereabouts.control.dashboard.headers import POLICY

_Scope = dict[str, Any]
_Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_Send = Callable[[Mapping[str, Any]], Awaitable[None]]
_Application = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

ARRIVED = "hereabouts.arrived"
"""The key of an ASGI scope that tells when the request came, in seconds on the monotonic clock."""
MAX_BODY = 1 << 20
"""Bytes of a request's body that the API takes."""
_ALL_BODIES = 64 << 20
"""Bytes that all requests' bodies may take together: who sends them need not be known yet."""
_FREE = 16 << 10
"""So much of each is not counted, about what its connection takes anyway: forms and calls get through all the same."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What is answered to a body that is not taken: ``detail`` by the API, ``title`` and ``text`` on a page."""

    status: int
    detail: str
    title: str
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


_TOO_LARGE = _Refusal(
    413,
    f"The body is larger than {MAX_BODY >> 20} MB.",
    "That was too much",
    f"At most {MAX_BODY >> 20} MB can be taken at a time, and nothing was changed. Go back and send less.",
)
_TOO_MANY = _Refusal(
    503,
    "So much is being sent at once that there is no room for more. Try again in a moment.",
    "Too much at once",
    "So much is being sent here at once that there is no room for more, and nothing was changed. Go back and try again "
    "in a moment.",
    ((b"retry-after", b"5"),),
)


class WholeBodies:
    """ASGI middleware: the application gets every body in one piece, at most MAX_BODY bytes, its length known.

    REST framework takes a body of unknown length (chunked, as nginx hands it on) for an empty one.
    """

    def __init__(self, application: _Application) -> None:
        self._application = application
        self._held = 0

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        scope = {**scope, ARRIVED: time.monotonic()}
        with self._room() as take:
            try:
                body = await _read(receive, take)
            except ConnectionError:
                return
            if isinstance(body, _Refusal):
                await _refuse(send, body, page=not scope["path"].startswith("/api/"))
                return
            await self._serve(scope, receive, send, body)

    @contextmanager
    def _room(self) -> Iterator[Callable[[int], bool]]:
        """What one request has of the room that there is for all: ``take`` says whether so many bytes may be kept."""
        mine = 0

        def take(size: int) -> bool:
            nonlocal mine
            counted = max(0, size - _FREE)
            if self._held - mine + counted > _ALL_BODIES:
                return False
            self._held += counted - mine
            mine = counted
            return True

        try:
            yield take
        finally:
            self._held -= mine

    async def _serve(self, scope: _Scope, receive: _Receive, send: _Send, body: bytes) -> None:
        if body:
            kept = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
            scope = {**scope, "headers": [*kept, (b"content-length", str(len(body)).encode())]}
        given = False

        async def replay() -> Mapping[str, Any]:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._application(scope, replay, send)


async def _read(receive: _Receive, take: Callable[[int], bool]) -> bytes | _Refusal:
    """The body, or why it is not taken; then the rest of it is read and thrown away.

    A proxy that is still sending when it is answered takes that for a failure. Raises ConnectionError when
    the caller is gone.
    """
    body = bytearray()
    size = 0
    refusal: _Refusal | None = None
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise ConnectionError
        part = event.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            refusal = _TOO_LARGE
        elif not refusal and not take(size):
            refusal = _TOO_MANY
        if refusal:
            body.clear()
            take(0)
        else:
            body += part
        if not event.get("more_body", False):
            return refusal or bytes(body)


async def _refuse(send: _Send, refusal: _Refusal, *, page: bool) -> None:
    headers = [(b"content-type", b"application/json")]
    body = json.dumps({"detail": refusal.detail}).encode()
    if page:
        context = {"title": refusal.title, "text": refusal.text}
        body = render_to_string("dashboard/trouble.html", context).encode()
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", POLICY.encode())]
    headers += [(b"content-length", str(len(body)).encode()), *refusal.headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
