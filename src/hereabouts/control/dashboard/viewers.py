"""Who has a page open that goes on by itself, and whether he still may see it: one look for all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import Error, connection
from django.utils import timezone

from hereabouts.control.models import Session, Website

_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever has the session with this key and account, at a page of this website."""

    session: str
    account: int
    website: int


_Place = tuple[Viewer, asyncio.Future[None]]
_places: set[_Place] = set()
_looking: set[asyncio.Task[None]] = set()


def pages(account: int) -> int:
    """How many such pages an account has open."""
    return sum(viewer.account == account for viewer, _ in list(_places))  # others come and go meanwhile


@contextmanager
def watched(viewer: Viewer) -> Iterator[asyncio.Future[None]]:
    """A future that is done once the viewer may see the page no more: a second later at the most."""
    place = (viewer, asyncio.get_running_loop().create_future())
    _places.add(place)
    if all(task.done() for task in _looking):
        task = asyncio.ensure_future(_look_on())
        _looking.add(task)
        task.add_done_callback(_looking.discard)
    try:
        yield place[1]
    finally:
        _places.discard(place)


async def _look_on() -> None:
    """Look as long as somebody is there; what can't be looked up now is looked up the next time."""
    while _places:
        await asyncio.sleep(_LOOK_SECONDS)
        asked = list(_places)
        try:
            allowed = await asyncio.to_thread(_allowed, {viewer for viewer, _ in asked})
        except Error:
            continue
        for viewer, over in asked:
            if viewer not in allowed and not over.done():
                over.set_result(None)


def _allowed(viewers: Collection[Viewer]) -> set[Viewer]:
    """Those who are signed in still, each at a website of his own; operators at anybody's."""
    try:
        valid = Session.objects.filter(expire_date__gt=timezone.now(), account__is_active=True)
        found = valid.filter(pk__in={viewer.session for viewer in viewers})
        people = {key: who for key, *who in found.values_list("pk", "account_id", "account__is_operator")}
        owners = dict(Website.objects.filter(pk__in={v.website for v in viewers}).values_list("pk", "account_id"))
    finally:
        connection.close()
    return {
        viewer
        for viewer in viewers
        if viewer.session in people
        and viewer.website in owners
        and (people[viewer.session][1] or people[viewer.session][0] == owners[viewer.website])
    }
