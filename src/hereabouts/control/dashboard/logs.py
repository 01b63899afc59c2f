"""The logs of one website: their ends, live as they are written, and whole."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from hereabouts.control import asking
from hereabouts.control.dashboard import access, one, viewers
from hereabouts.control.models import Website
from hereabouts.errors import HereaboutsError, PlatformNotRunning, SupervisorAway

KINDS = (
    ("error", "Error", "What its processes write to standard error, and lines of the platform's own."),
    ("server", "Server", "What its processes print: standard output."),
    ("access", "Access", "A line for each request."),
)
_SHOWN_LINES = 200
_END_BYTES = 262_144
_PIECE_BYTES = 262_144
_SEAM_CHARACTERS = 200
"""Of a download each piece begins with the end of the one before, which shows whether it still belongs to that."""
_BEAT_SECONDS = 15.0
"""A stream without news says so as often, which keeps it open and shows whether somebody is still there."""
_MOST_PAGES = 200
"""Streams that an account may have open."""
_LIFE_SECONDS = 60.0
"""A stream ends after this time; browsers come back at once."""


class LogBegunAnew(HereaboutsError):
    """The log was begun anew while it was downloaded, so the download was broken off. Download it again."""


@one.tab("Logs", "logs", 50)
@require_safe
def logs(request: HttpRequest, website: Website) -> HttpResponse:
    """The last lines of one log that hold ``q``; the page's script goes on from there."""
    kind = request.GET.get("kind", "")
    kind = kind if kind in [name for name, _, _ in KINDS] else KINDS[0][0]
    sought = request.GET.get("q", "")[:200]
    try:
        piece = asking.log(website.pk, kind, -_END_BYTES, _END_BYTES)
        away = ""
    except SupervisorAway as error:
        piece, away = {"text": "", "next": 0}, str(error)
    lines = piece["text"].removesuffix("\n").split("\n") if piece["text"] else []
    found = [line for line in lines if sought.lower() in line.lower()]
    context = {
        "kinds": [(name, title, name == kind) for name, title, _ in KINDS],
        "kind": kind,
        "about": next(about for name, _, about in KINDS if name == kind),
        "lines": found[-_SHOWN_LINES:],
        "next": piece["next"],
        "open": bool(found) and found[-1] is lines[-1] and not piece["text"].endswith("\n"),
        "sought": sought,
        "away": away,
    }
    return one.page(request, website, "dashboard/logs.html", context)


@one.action("logs/(?P<kind>access|error|server)/download")
@require_safe
def download(request: HttpRequest, website: Website, kind: str) -> HttpResponseBase:
    """The whole log as a file."""
    try:
        first = asking.log(website.pk, kind, 0, _PIECE_BYTES)
    except SupervisorAway as error:
        return one.go(request, f"{one.url(website, 'website_logs')}?kind={kind}", str(error), problem=True)
    connection.close()
    answer = StreamingHttpResponse(_whole(website.pk, kind, first), content_type="text/plain; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{website.domain_name}.{kind}.log"'
    return answer


async def _whole(number: int, kind: str, piece: dict[str, Any]) -> AsyncIterator[str]:
    """The log from its first piece on. Raises SupervisorAway or LogBegunAnew, so that what has no end, or one that
    belongs to something else, is not taken for whole."""
    end = piece["size"]  # what is written meanwhile is not waited for
    text = piece["text"]
    while text:
        yield text
        if piece["next"] >= end:
            return
        known = text[-_SEAM_CHARACTERS:].rpartition("\ufffd")[2]  # what is no character has another length when encoded
        before, seam = piece, len(known.encode())
        piece = await asyncio.to_thread(asking.log, number, kind, before["next"] - seam, _PIECE_BYTES)
        if piece["rotated"] or piece["size"] < before["size"] or not piece["text"].startswith(known):
            raise LogBegunAnew
        text = piece["text"].removeprefix(known)  # of a log that ends within a character nothing is left


@one.action("logs/(?P<kind>access|error|server)/stream")
@require_safe
def stream(request: HttpRequest, website: Website, kind: str) -> HttpResponseBase:
    """What is written from ``offset`` on, as server-sent events: pieces of the log in JSON, their ids the next offsets.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    given = request.headers.get("Last-Event-ID") or request.GET.get("offset", "")
    offset = int(given) if given.isdecimal() and len(given) < 16 else -_PIECE_BYTES // 4
    viewer = viewers.Viewer(request.session.session_key or "", access.account(request).pk, website.pk)
    if viewers.pages(viewer.account) >= _MOST_PAGES:
        text = f"You have {_MOST_PAGES} live logs open. Close some of them.\n"
        return HttpResponse(text, content_type="text/plain; charset=utf-8", status=429, headers={"Retry-After": "60"})
    connection.close()  # else it would stay open for as long as the page does
    return StreamingHttpResponse(
        _events(viewer, kind, offset),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(viewer: viewers.Viewer, kind: str, offset: int) -> AsyncIterator[str]:
    ends = time.monotonic() + _LIFE_SECONDS
    yield "retry: 500\n\n"
    pieces = asking.follow(viewer.website, kind, offset)
    waiting: asyncio.Task[dict[str, Any]] | None = None
    try:
        with viewers.watched(viewer) as over:
            while time.monotonic() < ends and not over.done():
                waiting = waiting or asyncio.ensure_future(anext(pieces))
                either: set[asyncio.Future[Any]] = {waiting, over}
                done, _ = await asyncio.wait(either, timeout=_BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    yield ": still here\n\n"
                if over in done or waiting not in done:
                    continue
                piece = waiting.result()
                waiting = None
                yield f"id: {piece['next']}\ndata: {json.dumps(piece)}\n\n"
    except (StopAsyncIteration, PlatformNotRunning):
        return  # deleted, or the supervisor is being started: the browser asks again
    finally:
        if waiting:
            waiting.cancel()
            await asyncio.wait({waiting})
        await pieces.aclose()
