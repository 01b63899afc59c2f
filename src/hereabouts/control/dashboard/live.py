"""Parts of a page that are looked at again by themselves: the browser says what it has, and is sent what is new.

What has not changed is left alone, with its focus, and read out to nobody a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

_BRISK_LOOKS = 40
"""After so many looks each pause is longer than the one before."""
_SLOWEST_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts are: ``key`` begins their ids, ``address`` answers for them, each has a template."""

    key: str
    address: str
    templates: Mapping[str, str]


def show(request: HttpRequest, place: Place, context: Mapping[str, Any], every: float | None) -> dict[str, SafeString]:
    """The parts by their names, and as ``again`` what asks for them in ``every`` seconds; None: never."""
    texts = _texts(request, place, context)
    parts = {name: _part(place, name, text) for name, text in texts.items()}
    return {**parts, "again": _again(place, texts, every, 0)}


def answer(request: HttpRequest, place: Place, context: Mapping[str, Any], every: float | None) -> HttpResponse:
    """Those of the parts that the browser does not have yet."""
    texts = _texts(request, place, context)
    known, looks = request.GET.get("known", "").split("."), request.GET.get("looks", "")
    looked = int(looks) + 1 if looks.isdecimal() and len(looks) < 6 else 0
    new = [_part(place, name, text, anew=True) for name, text in texts.items() if _mark(text) not in known]
    return HttpResponse("".join([_again(place, texts, every, looked), *new]))


def pause(every: float, looked: int) -> float:
    """Seconds until the next look, after so many: whatever takes long need not be seen at once."""
    return min(every * max(1.0, looked / _BRISK_LOOKS) ** 2, max(every, _SLOWEST_SECONDS))


def _texts(request: HttpRequest, place: Place, context: Mapping[str, Any]) -> dict[str, SafeString]:
    return {name: render_to_string(file, dict(context), request) for name, file in place.templates.items()}


def _mark(text: str) -> str:
    return f"{crc32(text.encode()):08x}"


def _part(place: Place, name: str, text: SafeString, *, anew: bool = False) -> SafeString:
    context = {"id": f"{place.key}-{name}", "text": text, "anew": anew}
    return render_to_string("dashboard/_part.html", context)


def _again(place: Place, texts: Mapping[str, str], every: float | None, looked: int) -> SafeString:
    if every is None:
        return SafeString()
    asked = urlencode({"known": ".".join(map(_mark, texts.values())), "looks": looked})
    address = f"{place.address}{'&' if '?' in place.address else '?'}{asked}"
    context = {"id": f"{place.key}-again", "address": address, "milliseconds": round(1000 * pause(every, looked))}
    return render_to_string("dashboard/_again.html", context)
