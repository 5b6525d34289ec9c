"""Values of any type that the command line shows, with one text wherever a text from outside may be."""

from collections.abc import Mapping
from dataclasses import fields as dataclass_fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, EnumType
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from taskmill.client.view import View, fields_of

ID = UUID("0199f1c2-7d5e-7000-8000-2f9e11d5a001")
# Those of keys and kinds of failures.
_SHORT_ID = "0199f1c27d5e7000"
_PLAIN: Mapping[Any, Any] = {
    bool: True,
    int: 1_234_567,
    float: 98_765.4,
    datetime: datetime(2025, 10, 24, 1, 2, 3, tzinfo=UTC),
    timedelta: timedelta(days=400, hours=3),
    UUID: ID,
}


def made_of(kind: Any, text: str, name: str = "") -> Any:  # noqa: ANN401 - of any type
    """Make a value of a type; texts are `text`, except ids."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in (str, Any, object):
        return _SHORT_ID if name in {"id", "key_id"} else text
    if get_origin(kind) is not None:
        return _of_generic(get_origin(kind), get_args(kind), text)
    if kind is Path:
        return Path(text.replace("\0", ""))
    if issubclass(kind, Enum):
        return max(kind, key=lambda one: len(str(one.value)))
    kinds = fields_of(kind)[0] if issubclass(kind, View) else _hints(kind)
    return kind(**{field: made_of(one, text, field) for field, one in kinds.items()})


def _of_generic(origin: object, arguments: tuple[Any, ...], text: str) -> Any:  # noqa: ANN401 - of any type
    if origin is Literal:
        return max(arguments, key=lambda one: len(str(one)))
    if origin in (Union, UnionType):
        return made_of(next(one for one in arguments if one is not NoneType), text)
    if len(arguments) == 2 and arguments[1] is not ...:  # a mapping
        names = arguments[0] if isinstance(arguments[0], EnumType) else [text]
        return {name: made_of(arguments[1], text) for name in names}
    return [made_of(arguments[0], text)] * 3


def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    if is_dataclass(kind):
        return {field.name: hints[field.name] for field in dataclass_fields(kind)}
    return hints
