"""What surrounds every page: where one can go from here."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

import hereabouts


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation."""

    name: str
    url: str
    here: bool


_PLACES = (("Websites", "websites", "/websites"), ("Account", "account", "/account"))
_OPERATOR_PLACES = (("Operator", "operator", "/operator"),)


def shell(request: HttpRequest) -> dict[str, object]:
    """Context processor: the navigation for who is signed in."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"places": [], "version": hereabouts.__version__}
    wanted = _PLACES + (_OPERATOR_PLACES if user.is_operator else ())
    return {
        "places": [place for each in wanted if (place := _place(request, *each))],
        "version": hereabouts.__version__,
    }


def tabs(request: HttpRequest, *entries: tuple[str, str]) -> list[Place]:
    """Tabs of a page: (name, url) each; the current one is marked."""
    return [Place(name, url, request.path.rstrip("/") == url.rstrip("/")) for name, url in entries]


def _place(request: HttpRequest, name: str, view: str, prefix: str) -> Place | None:
    try:
        return Place(name, reverse(view), request.path.startswith(prefix))
    except NoReverseMatch:
        return None
