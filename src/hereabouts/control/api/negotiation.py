"""What an answer is written in: each endpoint has one format, whatever the caller says it accepts."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class OnlyOne(DefaultContentNegotiation):
    """A browser or a careless client gets the answer too, instead of a 406."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The endpoint's only renderer and its media type."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)
