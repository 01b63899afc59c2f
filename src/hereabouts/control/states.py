"""How a website is, for whoever asks: what was seen of it, and what its owner has to know."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hereabouts.control.models import Website
from hereabouts.control.notices import notice
from hereabouts.core.webapp import Status

UNATTENDED = "The supervisor is not answering; the change will be carried out once it runs."


@dataclass(frozen=True, slots=True)
class State:
    """``since`` is in seconds since the epoch; ``detail`` says why it is not well, None when it is."""

    status: Status
    since: float
    detail: str | None


def state(website: Website, *, attended: bool = True) -> State:
    """The website's state; ``attended`` is False when the supervisor did not answer."""
    seen = getattr(website, "observation", None)
    if seen is None:
        status = Status.STARTING if website.enabled else Status.DISABLED
        since, detail = website.created_at.timestamp(), None
    else:
        status, since, detail = Status(seen.status), seen.since, seen.detail
        if website.enabled and status is Status.DISABLED:
            status, detail = Status.STARTING, None
        elif not website.enabled:
            status, detail = Status.DISABLED, None
    if not attended:
        detail = UNATTENDED
    elif status in (Status.RUNNING, Status.SLEEPING) and detail is None:
        detail = notice(website, time.time())
    return State(status, since, detail)
