"""The texts for what a contract expects."""

from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from taskmill.wire.wording import json_pointer, plain

_MOST_LISTED: Final = 300
_MOST_NAMES: Final = 20

KIND_WORDS: Final = {
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a string",
    "array": "an array",
    "object": "an object",
}


def one_of(options: Sequence[str]) -> str:
    """Join alternatives, as in `a string, a number or null`."""
    *most, last = dict.fromkeys(options)
    return f"{', '.join(most)} or {last}" if most else last


def listed_values(values: Iterable[object]) -> str:
    """Return the values of an enumeration, as many as fit."""
    shown: list[str] = []
    for value in values:
        text = plain(orjson.dumps(value).decode())
        if sum(map(len, shown)) + len(text) > _MOST_LISTED:
            return f"one of {', '.join([*shown, '…'])}"
        shown.append(text)
    return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"


def known_fields(names: Sequence[str]) -> str:
    """Return which fields an object may have."""
    shown = [json_pointer((name,))[1:] for name in names[:_MOST_NAMES]]
    remaining = len(names) - len(shown)
    more = f" and {remaining} more" if remaining else ""
    return f"only the fields {', '.join(shown)}{more}"
