"""Makes the filters of listings a query."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, TypeAlias, TypeGuard, TypeVar, cast

__all__ = ["Parameters", "is_many", "parameters_of", "reread"]

G = TypeVar("G", bound=Mapping[str, object])
Parameters: TypeAlias = tuple[tuple[str, str], ...]

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def parameters_of(given: Mapping[str, object]) -> Parameters:
    """Return a query: what is a collection is repeated, what is None is left out."""
    return tuple(
        (name, _text(value))
        for name, values in given.items()
        for value in (values if is_many(values) else (values,))
        if value is not None
    )


def reread(given: G) -> G:
    """Return filters that can be read for each page, whatever their values were."""
    kept = {name: [*value] if is_many(value) else value for name, value in given.items()}
    return cast(G, kept)


def is_many(value: object) -> TypeGuard[Iterable[object]]:
    """Tell whether a filter's value is several values."""
    return isinstance(value, Iterable) and not isinstance(value, str)


def _text(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    # Bytes of a command line that are no text: an address can't have them, and nothing is called so.
    return _SURROGATE.sub("\ufffd", text)
