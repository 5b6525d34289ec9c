"""From answers to bytes."""

from typing import Final
from uuid import UUID

import orjson

Fragment: Final = orjson.Fragment
"""JSON text that goes into an answer as it is."""


def answer_json(value: object) -> bytes:
    """Return the answer in JSON."""
    return orjson.dumps(value, default=_text_of_id)


def answer_line(value: object) -> bytes:
    """Return the answer as one line of NDJSON."""
    return orjson.dumps(value, default=_text_of_id, option=orjson.OPT_APPEND_NEWLINE)


def _text_of_id(value: object) -> str:
    """Show a driver's own kind of UUID, which orjson does not know."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")
