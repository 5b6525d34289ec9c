"""Converts the properties of a message to JSON that can be stored and shown.

Producers may send anything there: bytes, texts with NUL, nested tables. It does not validate them.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from taskmill.wire.basics import format_timestamp

PRIORITY_UNSET: Final = 0
"""The priority that clients send by default."""

_DEEPEST: Final = 16


def storable_properties(properties: Mapping[str, Any]) -> str:
    """Return properties as JSON text that PostgreSQL takes; those that are None are left out."""
    storable = {name: _plain(value, 0) for name, value in properties.items() if value is not None}
    return orjson.dumps(storable).decode()


def _plain(value: object, depth: int) -> object:
    if isinstance(value, Mapping | list | tuple):
        return _nested(value, depth + 1) if depth < _DEEPEST else "…"
    if isinstance(value, bytes | bytearray):
        return {"base64": b64encode(value).decode()}
    if isinstance(value, datetime):
        return format_timestamp(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return _text(str(value))


def _nested(value: Mapping[Any, Any] | Sequence[Any], depth: int) -> object:
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(item, depth) for key, item in value.items()}
    return [_plain(item, depth) for item in value]


def _text(text: str) -> str:
    """Escape what JSON in PostgreSQL can't have: NUL, and halves of surrogate pairs."""
    return text.replace("\x00", "\\u0000").encode(errors="backslashreplace").decode()
