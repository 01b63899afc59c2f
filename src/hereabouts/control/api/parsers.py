"""Bodies: JSON that is nothing but JSON, forms in nothing but UTF-8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.utils import json

_UTF8 = {"encoding": "utf-8"}


class StrictJSONParser(JSONParser):
    """JSON in UTF-8 (RFC 8259), whatever the header says; neither nested without end nor beyond Unicode."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body's value. Raises ParseError."""
        try:
            found = json.loads(stream.read().decode())
            _check_text(found)
        except RecursionError:
            raise ParseError("JSON parse error - the body is nested too deeply.") from None
        except UnicodeError:
            raise ParseError("JSON parse error - the body holds characters that are not valid Unicode.") from None
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None
        return found


class UTF8FormParser(FormParser):
    """DRF's parser without the encodings that a header could name, of which some are no encodings of text."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body's fields."""
        return super().parse(stream, media_type, {**(parser_context or {}), **_UTF8})


class UTF8MultiPartParser(MultiPartParser):
    """The same for multipart bodies."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body's fields and files. Raises ParseError."""
        return super().parse(stream, media_type, {**(parser_context or {}), **_UTF8})


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
