"""How a refusal by a contract speaks of what was expected, and of what came.

`got` is told by PostgreSQL as well (`taskmill.described` and `taskmill.pointer_token` in migration 0010), so it
rests on nothing that differs between the two: which characters are printable, for one, is spelled out here.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from taskmill.wire.wording import describe

_MOST_SHOWN: Final = 60
_MOST_LISTED: Final = 300
_MOST_NAMES: Final = 20
# Latin, Greek, Cyrillic, Kana, Han, Hangul, and the dots of what was cut: printable in every Unicode since 14.
PLAIN_CHARACTERS: Final = (
    "\\x20-\\x7E\\xA1-\\xAC\\xAE-\\u024F\\u03A3-\\u03FF\\u0400-\\u04FF\\u2026"
    "\\u3041-\\u3096\\u30A1-\\u30FA\\u4E00-\\u9FFC\\uAC00-\\uD7A3"
)
_UNUSUAL: Final = re.compile(f"[^{PLAIN_CHARACTERS}]")

KIND_WORDS: Final = {
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a string",
    "array": "an array",
    "object": "an object",
}


def plain(text: str) -> str:
    """Return the text with every character that is not surely printable escaped."""
    return _UNUSUAL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def token(part: str | int) -> str:
    """Return a step of a JSON pointer, its slash included; long names are cut."""
    text = str(part)
    shown = text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"
    return "/" + plain(shown).replace("~", "~0").replace("/", "~1")


def got(value: object) -> str:
    """Say what a value is, without showing a text of it."""
    if isinstance(value, float):
        return describe(value + 0.0)  # no sign of zero: PostgreSQL does not keep it
    return describe(value)


def counted(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def one_of(options: Sequence[str]) -> str:
    """Join what may come, as in `a string, a number or null`."""
    *most, last = dict.fromkeys(options)
    return f"{', '.join(most)} or {last}" if most else last


def listed_values(values: Sequence[Any]) -> str:
    """Show the values of an enumeration, as far as there is room."""
    shown: list[str] = []
    for value in values:
        text = plain(orjson.dumps(value).decode())
        if sum(map(len, shown)) + len(text) > _MOST_LISTED:
            return f"one of {', '.join([*shown, '…'])}"
        shown.append(text)
    return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"


def known_fields(names: Sequence[str]) -> str:
    """Say which fields an object may have."""
    if not names:
        return "no such field"
    shown = [token(name)[1:] for name in names[:_MOST_NAMES]]
    rest = len(names) - len(shown)
    more = f" and {rest} more" if rest else ""
    return f"only the fields {', '.join(shown)}{more}"
