"""Request bodies: read to their end before Django begins, and refused when they are too large. Notes the arrival."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
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


class WholeBodies:
    """ASGI middleware: the application gets every body in one piece, at most MAX_BODY bytes, its length known.

    REST framework takes a body of unknown length (chunked, as nginx hands it on) for an empty one.
    """

    def __init__(self, application: _Application) -> None:
        self._application = application

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        scope = {**scope, ARRIVED: time.monotonic()}
        try:
            body = await _read(receive)
        except ConnectionError:
            return
        if body is None:
            await _refuse(send, page=not scope["path"].startswith("/api/"))
            return
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


async def _read(receive: _Receive) -> bytes | None:
    """The body; None for one that is too large, of which the rest is read and thrown away.

    A proxy that is still sending when it is answered takes that for a failure. Raises ConnectionError when
    the caller is gone.
    """
    body = bytearray()
    size = 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise ConnectionError
        part = event.get("body", b"")
        size += len(part)
        if size <= MAX_BODY:
            body += part
        else:
            body.clear()
        if not event.get("more_body", False):
            return bytes(body) if size <= MAX_BODY else None


async def _refuse(send: _Send, *, page: bool) -> None:
    said = f"The body is larger than {MAX_BODY >> 20} MB."
    headers = [(b"content-type", b"application/json")]
    body = json.dumps({"detail": said}).encode()
    if page:
        text = f"At most {MAX_BODY >> 20} MB can be taken at a time, and nothing was changed. Go back and send less."
        context = {"title": "That was too much", "text": text}
        body = render_to_string("dashboard/trouble.html", context).encode()
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", POLICY.encode())]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
