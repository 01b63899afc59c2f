"""The settings of a website's process as forms have them: read, with what is wrong at which field, and shown again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.http import QueryDict

from hereabouts.control.api.serializers import WebappChange
from hereabouts.control.models import Website

TAKEOVER = ("stop_first", "health_path", "health_status", "health_seconds")
"""How a new process takes over."""
HTTPS = ("force_https", "hsts_seconds")
"""How visitors come."""
_FLAGS = frozenset({"stop_first", "force_https"})
_OWN = "own"
"""What is chosen where ``hsts_own`` holds the number of seconds."""
_HSTS = {
    "0": "Not told", "86400": "One day", "2592000": "30 days", "31536000": "One year", "63072000": "Two years",
    _OWN: "Another time",
}  # fmt: skip


def read(form: QueryDict, names: Collection[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Those of the settings that a form gives, and what is wrong with which. A flag that is not there is off."""
    given = QueryDict(mutable=True)
    for name in names:
        if name in _FLAGS:
            given[name] = "true" if name in form else "false"
        elif name in form:
            given[name] = str(form[name]).replace("\r\n", "\n")  # as browsers end lines, but not htmx
    if given.get("hsts_seconds") == _OWN:
        given["hsts_seconds"] = form.get("hsts_own", "")
    body = WebappChange(data=given, partial=True)
    if not body.is_valid():
        return {}, {name: " ".join(map(str, said)) for name, said in body.errors.items()}
    return dict(body.validated_data), {}


def stored(website: Website) -> dict[str, Any]:
    """What the fields show of a website as it is."""
    known = {name: getattr(website, name) for name in ("command", *TAKEOVER, *HTTPS)}
    return {**known, "health_seconds": f"{website.health_seconds:g}", **_hsts(str(website.hsts_seconds), "")}


def sent(form: QueryDict) -> dict[str, Any]:
    """What the fields show of a form that was sent."""
    flags = {name: name in form for name in _FLAGS}
    return {**form.dict(), **flags, **_hsts(form.get("hsts_seconds", "0"), form.get("hsts_own", ""))}


def _hsts(seconds: str, own: str) -> dict[str, Any]:
    chosen = seconds if seconds in _HSTS else _OWN
    return {"hsts_seconds": chosen, "hsts_own": own or ("" if seconds == chosen else seconds), "hsts": _HSTS.items()}
