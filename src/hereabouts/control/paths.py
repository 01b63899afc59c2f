"""A doubled slash in a path is read as one, without a redirect."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

_SLASHES = re.compile("//+")


class OneSlash:
    """Middleware that collapses runs of slashes before the path is looked up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve the request under its plain path."""
        request.path_info = _SLASHES.sub("/", request.path_info)
        request.path = _SLASHES.sub("/", request.path)
        return self._get_response(request)
