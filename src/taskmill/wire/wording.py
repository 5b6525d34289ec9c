"""How a refusal speaks of what came: short, printable, without secrets or long input.

Everything from a request that is shown again (in a problem, a log line) passes through here.
"""

from collections.abc import Iterable

_SHOWN_CHARACTERS = 60


def safe_text(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """Return the text cut to `limit` characters, with everything unprintable escaped."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)


def json_pointer(parts: Iterable[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a place; long or unprintable keys are shown as text."""
    return "".join("/" + _token(part) for part in parts)


def _token(part: str | int) -> str:
    return safe_text(str(part)).replace("~", "~0").replace("/", "~1")


def describe(value: object, *, reveal: bool = False) -> str:
    """Say what a JSON value is, in a few words.

    Numbers are shown; a string's text only with `reveal`, since it could be a secret.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return _describe_text(value, reveal=reveal)
        case dict():
            return f"an object of {_count(len(value), 'field')}"
        case _:
            return "an array"


def _describe_text(text: str, *, reveal: bool) -> str:
    if not text:
        return "an empty string"
    if reveal and len(text) <= _SHOWN_CHARACTERS:
        return f'the string "{safe_text(text)}"'
    return f"a string of {_count(len(text), 'character')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
