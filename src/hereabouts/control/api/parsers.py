"""Bodies: JSON that is nothing but JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """DRF's parser, which also refuses bodies nested without end and characters that no text may hold."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body's value. Raises ParseError."""
        try:
            found = super().parse(stream, media_type, parser_context)
            _check_text(found)
        except RecursionError:
            raise ParseError("JSON parse error - the body is nested too deeply.") from None
        except UnicodeError:
            raise ParseError("JSON parse error - the body holds characters that are not valid Unicode.") from None
        return found


def _check_text(value: Any) -> None:
    """Raise UnicodeEncodeError for a lone surrogate anywhere in the value."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for key, part in value.items():
            key.encode()
            _check_text(part)
    elif isinstance(value, list):
        for part in value:
            _check_text(part)
