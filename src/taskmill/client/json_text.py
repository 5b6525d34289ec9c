"""Writes and reads JSON, with orjson where that is installed: it takes a third of the time.

Both write the same. A value that JSON does not have (a time, a model, an id, an address…) is converted to one that
it has, wherever it is.
"""

import json
from collections import deque
from collections.abc import Callable, Generator, Mapping, Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from taskmill.wire.basics import format_duration

_loads: Callable[[bytes | str], Any]
_quick: Callable[[object], bytes] | None
try:
    import orjson
except ImportError:
    _loads, _quick = json.loads, None
else:
    # With these options it takes little beyond JSON's types.
    _NO_MORE: Final = (
        orjson.OPT_PASSTHROUGH_DATETIME
        | orjson.OPT_PASSTHROUGH_DATACLASS
        | orjson.OPT_PASSTHROUGH_SUBCLASS
    )
    _loads = orjson.loads
    _quick = partial(orjson.dumps, option=_NO_MORE)


def read_json(text: bytes | str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value that a text is. Raises ValueError."""
    return _loads(text)


def json_bytes(value: object) -> bytes:
    """Return a value as JSON. Raises TypeError or ValueError if it can't be JSON."""
    if _quick is None:
        return _ENCODER.encode(value).encode()
    try:
        quick = _quick(value)
    except TypeError:
        return _ENCODER.encode(value).encode()
    # orjson also writes NaN and infinity as null.
    return _ENCODER.encode(value).encode() if b"null" in quick else quick


def plain(value: object) -> object:
    """Convert a value that JSON does not have to one that it has; what is within it may need that, too.

    Raises:
        ValueError: It can't be converted.
    """
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    return _fields_of(value)


def _length(value: timedelta) -> str:
    return format_duration(value) if value >= timedelta() else f"-{format_duration(-value)}"


_CONVERSIONS: Final[tuple[tuple[tuple[type, ...], Callable[[Any], object]], ...]] = (
    ((date, time), lambda value: value.isoformat()),  # datetime, too
    ((timedelta,), _length),
    ((Enum,), lambda value: value.value),
    ((bytes, bytearray), lambda value: value.decode()),
    ((UUID, Decimal, PurePath), str),
    ((IPv4Address, IPv4Network, IPv6Address, IPv6Network), str),
    ((AbstractSet, deque, Generator), list),
)


def _fields_of(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if callable(dump := getattr(value, "model_dump", None)):  # a model of pydantic
        return dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    raise ValueError(f"Unable to serialize as JSON: {type(value).__qualname__}")


# The standard library takes every whole number as it is, and refuses NaN.
_ENCODER: Final = json.JSONEncoder(default=plain, allow_nan=False, separators=(",", ":"))
