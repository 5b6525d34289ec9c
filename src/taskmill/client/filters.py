"""Turns the filters of listings into a query."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, TypeAlias, TypeGuard, TypeVar, cast

G = TypeVar("G", bound=Mapping[str, object])
Parameters: TypeAlias = tuple[tuple[str, str], ...]

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def parameters_of(given: Mapping[str, object]) -> Parameters:
    """Return a query: a name is repeated for each value of a collection, and None is left out."""
    return tuple(
        (name, _text(value))
        for name, values in given.items()
        for value in (values if is_many(values) else (values,))
        if value is not None
    )


def reread(given: G) -> G:
    """Return filters that can be read for each page; their values may have been iterators."""
    reusable = {name: [*value] if is_many(value) else value for name, value in given.items()}
    return cast(G, reusable)


def is_many(value: object) -> TypeGuard[Iterable[object]]:
    """Return whether a filter's value is several values."""
    return isinstance(value, Iterable) and not isinstance(value, str)


def _text(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    # Bytes of a command line that are not text: an address can't have them, and no name has.
    return _SURROGATE.sub("\ufffd", text)
