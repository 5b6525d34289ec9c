"""Encodes JSON: bodies of responses and replies, documents."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import orjson
from pydantic import BaseModel

from taskmill.wire.basics import format_timestamp

Fragment: Final = orjson.Fragment
"""JSON text that is inserted unchanged."""


def encode_json(value: object) -> bytes:
    """Return the value in JSON."""
    return orjson.dumps(value, default=_text_of_id, option=orjson.OPT_UTC_Z)


def encode_json_line(value: object) -> bytes:
    """Return the value as one line of NDJSON."""
    return orjson.dumps(
        value, default=_text_of_id, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
    )


def fast_timestamp(moment: datetime) -> datetime | str:
    """Return a value that `encode_json` writes as `format_timestamp` does, mostly in a fifth of the time."""
    # orjson leaves out a fraction that is zero.
    return moment if moment.microsecond and moment.tzinfo is UTC else format_timestamp(moment)


def format_optional(moment: datetime | None) -> datetime | str | None:
    """Return a value that `encode_json` writes as a time, or as null."""
    return None if moment is None else fast_timestamp(moment)


def fields_of(model: type[BaseModel], source: object, **others: object) -> dict[str, object]:
    """Return what `encode_json` writes as the model: for each field one of `others`, or the source's attribute."""
    fields: dict[str, object] = {}
    for name in model.model_fields:
        value = others[name] if name in others else getattr(source, name)
        fields[name] = fast_timestamp(value) if isinstance(value, datetime) else value
    return fields


def _text_of_id(value: object) -> str:
    """Encode the driver's UUID class, which orjson does not know."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} can't be encoded")
