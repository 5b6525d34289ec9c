"""Parses queries and forms into names and values."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from taskmill.domain.errors import InvalidInput
from taskmill.wire.wording import describe

MOST_PAIRS: Final = 1200
"""The longest form is a selection of tasks."""


def parse_pairs(encoded: bytes) -> list[tuple[str, str]]:
    """Return all pairs in order. Raises `InvalidInput`."""
    try:
        pairs = parse_qsl(
            encoded.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_PAIRS
        )
    except UnicodeDecodeError:
        raise InvalidInput.at("query:", "UTF-8", "other bytes") from None
    except ValueError:
        raise InvalidInput.at("query:", f"at most {MOST_PAIRS} values", "more") from None
    for name, value in pairs:
        if "\x00" in name + value:
            raise InvalidInput.at(f"query:{name}", "text without NUL", "a NUL character")
    return pairs


def first(pairs: list[tuple[str, str]], name: str) -> str:
    """Return the first value of a name, without space around it; empty when there is none."""
    return next((value.strip() for key, value in pairs if key == name), "")


def every(pairs: list[tuple[str, str]], name: str) -> list[str]:
    """Return all values of a name that are not blank."""
    return [value.strip() for key, value in pairs if key == name and value.strip()]


def one_of(known: Iterable[str], text: str, pointer: str) -> str:
    """Return a value that has to be one of the known ones. Raises `InvalidInput`."""
    names = list(known)
    if text not in names:
        raise InvalidInput.at(pointer, f"one of {', '.join(names)}", describe(text, reveal=True))
    return text
