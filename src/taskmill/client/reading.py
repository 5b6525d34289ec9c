"""Reads JSON as views: each field by its type. Fields that a view does not name are left out.

Only what the service sends is read here, so a wrong value means another program, or another version.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from types import UnionType
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin
from uuid import UUID

from taskmill.client.view import OpenView, View, fields_of

Read: TypeAlias = Callable[[Any], Any]


class UnreadableError(ValueError):
    """A value is not what was expected; `path` leads to it."""

    def __init__(self, expected: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(f"{'.'.join(path)}: {expected}" if path else expected)
        self.expected = expected
        self.path = path

    def within(self, name: object) -> "UnreadableError":
        """Return the same error, seen from what is around the value."""
        return UnreadableError(self.expected, (str(name), *self.path))


def reader_of(kind: Any) -> Read:  # noqa: ANN401 - any annotation
    """Return what turns a value of JSON into one of this type; it raises `UnreadableError` for any other."""
    found = _READERS.get(kind)
    if found is None:
        found = _READERS[kind] = _new_reader(kind)
    return found


def _new_reader(kind: Any) -> Read:  # noqa: ANN401 - any annotation
    if make := _OF_ORIGIN.get(get_origin(kind)):
        return make(*get_args(kind))
    if issubclass(kind, View):
        return _view(kind)
    if issubclass(kind, Enum):
        return _converted(str, kind, f"one of {', '.join(kind)}")
    raise TypeError(f"no value of JSON is a {kind}")


def _exactly(kind: type, words: str) -> Read:
    def read(value: object) -> object:
        if type(value) is not kind:
            raise UnreadableError(f"expected {words}")
        return value

    return read


def _converted(kind: type, convert: Callable[[Any], object], words: str) -> Read:
    def read(value: object) -> object:
        if type(value) is not kind:
            raise UnreadableError(f"expected {words}")
        try:
            return convert(value)
        except ValueError:
            raise UnreadableError(f"expected {words}") from None

    return read


def _number(value: object) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise UnreadableError("expected a number")


def _optional(*kinds: Any) -> Read:  # noqa: ANN401 - annotations
    [read] = [reader_of(kind) for kind in kinds if kind is not type(None)]
    return lambda value: None if value is None else read(value)


def _literal(*values: object) -> Read:
    def read(value: object) -> object:
        if value not in values:
            raise UnreadableError(f"expected one of {', '.join(map(str, values))}")
        return value

    return read


def _items(kind: Any) -> Read:  # noqa: ANN401 - an annotation
    read_one = reader_of(kind)

    def read(value: object) -> list[object]:
        if not isinstance(value, list):
            raise UnreadableError("expected an array")
        at, found = 0, []
        try:
            for at, one in enumerate(value):  # noqa: B007 - for the error
                found.append(read_one(one))
        except UnreadableError as error:
            raise error.within(at) from None
        return found

    return read


def _members(key: Any, kind: Any) -> Read:  # noqa: ANN401 - annotations
    read_name, read_one = reader_of(key), reader_of(kind)

    def read(value: object) -> dict[object, object]:
        if not isinstance(value, dict):
            raise UnreadableError("expected an object")
        name, found = "", {}
        try:
            for name, one in value.items():
                found[read_name(name)] = read_one(one)
        except UnreadableError as error:
            raise error.within(name) from None
        return found

    return read


def _view(kind: type[View]) -> Read:
    kinds, defaults = fields_of(kind)
    parts = [(name, reader_of(one), name in defaults) for name, one in kinds.items()]
    is_open = issubclass(kind, OpenView)

    def read(value: object) -> View:
        if not isinstance(value, dict):
            raise UnreadableError("expected an object")
        given = _with_more(kinds, value) if is_open else value
        name, found = "", {}
        try:
            for name, read_one, is_optional in parts:
                if not is_optional or name in given:
                    found[name] = read_one(given[name])
        except KeyError:
            raise UnreadableError("it is missing", (name,)) from None
        except UnreadableError as error:
            raise error.within(name) from None
        return kind(**found)

    return read


def _with_more(kinds: Mapping[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return an object with what its view does not name in `more`."""
    names = kinds.keys() - {"more"}
    named = {name: value[name] for name in value.keys() & names}
    return {**named, "more": {name: value[name] for name in value.keys() - names}}


_READERS: Final[dict[Any, Read]] = {
    Any: lambda value: value,
    bool: _exactly(bool, "true or false"),
    datetime: _converted(str, datetime.fromisoformat, "a time"),
    float: _number,
    int: _exactly(int, "a whole number"),
    str: _exactly(str, "a string"),
    UUID: _converted(str, UUID, "an id"),
}
_OF_ORIGIN: Final[dict[Any, Callable[..., Read]]] = {
    Literal: _literal,
    Mapping: _members,
    Union: _optional,
    UnionType: _optional,
    dict: _members,
    list: _items,
}
