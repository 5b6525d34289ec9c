"""The base of what the client returns. The classes themselves are in `views`, and are read by `reading`.

They look like frozen dataclasses to type checkers. Sixty dataclasses would take as long to import as all else.
"""

import sys
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from importlib import import_module
from inspect import get_annotations
from typing import Any, Final, NoReturn, Self, TypeAlias, dataclass_transform
from uuid import UUID

from taskmill.wire.basics import format_timestamp


@dataclass_transform(frozen_default=True, kw_only_default=True)
class View:
    """What the service has shown: its JSON with times, ids and words as Python's own types. It never changes."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - of the fields' types
        kinds, defaults = fields_of(type(self))
        if unknown := given.keys() - kinds.keys():
            raise TypeError(f"{type(self).__name__} has no {min(unknown)}")
        if missing := kinds.keys() - given.keys() - defaults.keys():
            raise TypeError(f"{type(self).__name__} needs {min(missing)}")
        self.__dict__.update({name: given.get(name, defaults.get(name)) for name in kinds})

    def to_json(self) -> dict[str, Any]:
        """Return it as values of JSON: times, ids and words are texts again."""
        return {name: json_of(value) for name, value in self.__dict__.items()}

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401 - of the fields' types
        """Return a copy with other values in some fields."""
        return type(self)(**{**self.__dict__, **changes})

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} has no hash: it may have lists and objects")

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({values})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} does not change: use replace({name}=…)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} does not change")


class OpenView(View):
    """A view that may have more fields than it names, which are in `more`."""

    more: Mapping[str, Any] = {}

    def to_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        named = super().to_json()
        more = named.pop("more")
        return {**named, **more}


_Fields: TypeAlias = tuple[Mapping[str, Any], Mapping[str, Any]]
_FIELDS: Final[dict[type, _Fields]] = {}


def fields_of(kind: type[View]) -> _Fields:
    """Return the types of a view's fields, those of its bases first, and the defaults of those that have one."""
    found = _FIELDS.get(kind)
    if found is None:
        kinds: dict[str, Any] = {}
        for one in reversed(kind.__mro__[:-1]):
            kinds.update(get_annotations(one, globals=_names_around(one), eval_str=True))
        defaults = {name: getattr(kind, name) for name in kinds if hasattr(kind, name)}
        found = _FIELDS[kind] = kinds, defaults
    return found


def _names_around(kind: type[View]) -> dict[str, Any]:
    """Return what the annotations of a class may name, also what its module imports when it is needed first."""
    names = vars(sys.modules[kind.__module__])
    later: Mapping[str, str] = names.get("IMPORTED_LATER", {})
    return {**names, **{name: getattr(import_module(home), name) for name, home in later.items()}}


def json_of(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """Return a part of a view as JSON has it."""
    match value:
        case View():
            return value.to_json()
        case dict():
            return {json_of(name): json_of(part) for name, part in value.items()}
        case list():
            return [json_of(part) for part in value]
        case datetime():
            return format_timestamp(value)
        case _:
            return _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    return value.value if isinstance(value, Enum) else value
