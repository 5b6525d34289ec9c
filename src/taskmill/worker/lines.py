"""Converts what a handler logs to text that PostgreSQL accepts: a message and fields, cut to their limits.

Whatever a handler passes in, nothing is raised: a value that can't be shown is replaced by a placeholder.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import orjson

from taskmill.observability.logs import traceback_text
from taskmill.worker.storable import storable

_LONGEST_NAME = 100
# If the fields are too large, values that are longer than this share are cut, to leave room for others.
_SHARE_OF_A_VALUE = 4
_EXCEPTION: Final = "exception"
_ELLIPSIS: Final = "…"
_ROOM_FOR_ELLIPSIS = 48
# What every record has; other attributes come from `extra=`.
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def message_text(message: object, longest: int) -> str:
    """Return a message, cut to `longest` characters before escaping."""
    return storable(message if isinstance(message, str) else _text(message), longest)


def fields_text(fields: Mapping[str, object], most_bytes: int) -> str | None:
    """Return fields as a JSON object, None if there are none; values that are not JSON become text."""
    if not fields:
        return None
    whole = _json(fields)
    if whole is not None and len(whole) <= most_bytes:
        return whole.decode()
    return _cut(fields, most_bytes)


def with_traceback(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a structlog call, with `exc_info` replaced by its traceback."""
    if not _is_truthy(fields.get("exc_info")):
        return fields
    shown = {name: value for name, value in fields.items() if name != "exc_info"}
    shown[_EXCEPTION] = _traceback(fields["exc_info"])
    return shown


def _is_truthy(exc_info: object) -> bool:
    try:
        return bool(exc_info)
    except Exception:  # noqa: BLE001 - a handler's value may be anything
        return False


def record_name(record: logging.LogRecord) -> str:
    """Return the name of a record's logger, which a handler may choose freely."""
    return storable(_text(record.name), _LONGEST_NAME)


def record_message(record: logging.LogRecord) -> object:
    """Return the message of a `logging` record, unformatted if its arguments don't match."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a handler's arguments may be anything
        return record.msg


def record_fields(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return the fields from `extra=`, and an exception's traceback."""
    fields = {name: value for name, value in vars(record).items() if name not in _USUAL}
    if record.exc_info:
        fields[_EXCEPTION] = _traceback(record.exc_info)
    return fields


def _traceback(exc_info: object) -> str:
    try:
        return traceback_text(exc_info)
    except Exception as error:  # noqa: BLE001 - whatever a handler's exception does
        return f"the traceback can't be shown: {type(error).__name__}"


def _cut(fields: Mapping[str, object], most_bytes: int) -> str:
    """Return the first fields that fit, with long values cut, and the number of those left out."""
    parts: list[bytes] = []
    room = most_bytes - _ROOM_FOR_ELLIPSIS
    for name, value in fields.items():
        part = _member(name, value, most_bytes // _SHARE_OF_A_VALUE)
        room -= len(part) + 1
        if room < 0:
            parts.append(
                _member(_ELLIPSIS, f"{len(fields) - len(parts)} fields left out", most_bytes)
            )
            break
        parts.append(part)
    return f"{{{b','.join(parts).decode()}}}"


def _member(name: str, value: object, longest: int) -> bytes:
    return orjson.dumps(storable(_text(name), _LONGEST_NAME)) + b":" + _value(name, value, longest)


def _value(name: str, value: object, longest: int) -> bytes:
    encoded = _json(value)
    if encoded is not None and len(encoded) <= longest:
        return encoded
    text = _text(value) if encoded is None or isinstance(value, str) else encoded.decode()
    if name == _EXCEPTION and len(text) > longest:
        # The end of a traceback has the error.
        text = _ELLIPSIS + text[1 - longest :]
    return orjson.dumps(storable(text, longest))


def _json(value: object) -> bytes | None:
    try:
        return orjson.dumps(value, default=str)
    except Exception:  # noqa: BLE001 - not JSON, nested too deeply, or a `__str__` that raises
        return None


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - see above
        return f"<{type(value).__name__}>"
