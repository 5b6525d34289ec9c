"""Describes values of requests in errors: short, printable, without secrets or long input.

Everything from a request that is shown again (in a problem, a log line) passes through here.
"""

import re
from collections.abc import Iterable
from typing import Final

from taskmill.domain.api_keys import without_secrets

_SHOWN_CHARACTERS = 60
# Latin, Greek, Cyrillic, Kana, Han, Hangul, and the ellipsis of cut texts: printable in every Unicode since 14.
_PLAIN_CHARACTERS: Final = (
    "\\x20-\\x7E\\xA1-\\xAC\\xAE-\\u024F\\u03A3-\\u03FF\\u0400-\\u04FF\\u2026"
    "\\u3041-\\u3096\\u30A1-\\u30FA\\u4E00-\\u9FFC\\uAC00-\\uD7A3"
)
_UNUSUAL: Final = re.compile(f"[^{_PLAIN_CHARACTERS}]")


def safe_text(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """Return the text cut to `limit` characters, unprintable ones escaped, without the secrets of API keys."""
    shown = _cut(without_secrets(text), limit)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)


def plain(text: str) -> str:
    """Return the text with every character escaped that may not be printable."""
    return _UNUSUAL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain_name(name: str) -> str:
    """Return the name of a field, or a short text, as every entry point shows it."""
    return plain(_cut(name, _SHOWN_CHARACTERS))


def json_pointer(parts: Iterable[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a path; long or unprintable keys are shown as text."""
    return "".join("/" + _token(part) for part in parts)


def _token(part: str | int) -> str:
    return plain_name(str(part)).replace("~", "~0").replace("/", "~1")


def describe(value: object, *, reveal: bool = False) -> str:
    """Describe a JSON value in a few words.

    Numbers are shown; a string's text only with `reveal`, since it could be a secret.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value + 0}"  # no sign of zero
        case str():
            return _describe_text(value, reveal=reveal)
        case dict():
            return f"an object of {counted(len(value), 'field')}"
        case _:
            return "an array"


def _describe_text(text: str, *, reveal: bool) -> str:
    if not text:
        return "an empty string"
    if reveal and len(text) <= _SHOWN_CHARACTERS:
        return f'the string "{plain(text)}"'
    return f"a string of {counted(len(text), 'character')}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
