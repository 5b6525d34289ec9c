"""Parses a large JSON array some items at a time: one native call for all of it would block all other threads.

The standard library's scanner finds where an item ends; `strict_json` parses it, as any body.
"""

import re
from codecs import utf_8_decode
from collections.abc import Iterator
from json import JSONDecoder
from typing import Final

from taskmill.domain.errors import InvalidInput, MalformedJson
from taskmill.wire.strict_json import MAX_DEPTH, gc_paused, parse
from taskmill.wire.wording import describe

PIECE_BYTES: Final = 256 * 1024
"""What is parsed at once: 2 to 7 ms (measured 2026-11-28)."""

# Room for the fields of an item beside its payload, in their longest spelling.
_BESIDE_PAYLOAD: Final = 256 * 1024
_SPACE: Final = " \t\n\r"
_SPACES: Final = _SPACE.encode()
_NOT_SPACE: Final = re.compile(rb"[^ \t\n\r]")
_OTHER_VALUES: Final = {
    b"{": "an object",
    b'"': "a string",
    b"t": "true",
    b"f": "false",
    b"n": "null",
}
_scan = JSONDecoder().scan_once  # type: ignore[attr-defined]  # public by use, missing in typeshed


def array_items(
    body: bytes, *, item_bytes: int, piece_bytes: int = PIECE_BYTES
) -> Iterator[list[object]]:
    """Yield the items of an array in lists, one for each piece of the body.

    An item may have several times `item_bytes`, because of spaces; its fields are limited elsewhere.

    Raises:
        MalformedJson: The body is not strict JSON.
        InvalidInput: It is not an array, an item is too large, or a text has a NUL or a lone surrogate.
    """
    if len(body) <= piece_bytes:
        yield _whole(parse(body, max_depth=MAX_DEPTH + 1))
        return
    start, most = _after_opening(body), max(4 * item_bytes, piece_bytes)
    size, is_first, count = piece_bytes, True, 0
    while len(body) - start > size:
        end = _end_of_items(body[start : start + size])
        if end:
            found = _parsed(body[start : start + end])
            yield found
            start, size, is_first, count = start + end + 1, piece_bytes, False, count + len(found)
        elif size >= most or _is_dense(body[start : start + size], item_bytes):
            raise InvalidInput.at(f"/{count}", f"a task of at most {item_bytes} bytes", "more")
        else:
            size *= 2
    last = _parsed(body[start:], closing=b"")
    if not (last or is_first):
        raise MalformedJson("not JSON: an array ends with a comma")
    yield last


def _is_dense(part: bytes, item_bytes: int) -> bool:
    """Return whether a part of one item, without spaces, is already too large."""
    most = item_bytes + _BESIDE_PAYLOAD
    return len(part) > most and len(part.translate(None, _SPACES)) > most


def _whole(value: object) -> list[object]:
    if not isinstance(value, list):
        raise InvalidInput.at("", "an array of tasks", describe(value))
    return value


def _after_opening(body: bytes) -> int:
    """Return where the items begin. Of another value only the first character is checked."""
    found = _NOT_SPACE.search(body)
    first = b"" if found is None else found[0]
    if found is None or first != b"[":
        if first in _OTHER_VALUES:
            raise InvalidInput.at("", "an array of tasks", _OTHER_VALUES[first])
        raise MalformedJson("not JSON: no array begins here")
    return found.end()


def _parsed(items: bytes, closing: bytes = b"]") -> list[object]:
    return _whole(parse(b"[" + items + closing, max_depth=MAX_DEPTH + 1))


def _end_of_items(piece: bytes) -> int:
    """Return the end of the last complete item in a piece that is followed by a comma; 0 if there is none."""
    try:
        text, _ = utf_8_decode(piece, "strict", False)  # noqa: FBT003 - the codec's signature
    except UnicodeDecodeError as error:
        raise MalformedJson(f"the body is not UTF-8 at byte {error.start} of an item") from None
    end, at = 0, 0
    with gc_paused(len(text)):
        while (after := end_of_item(text, at)) is not None:
            end, at = after, after + 1
    return len(text[:end].encode())


def end_of_item(text: str, at: int, mark: str = ",") -> int | None:
    """Return the position of the mark after the item that begins at `at`; None if it is elsewhere.

    Raises:
        MalformedJson: The item is nested too deep.
    """
    try:
        _, end = _scan(text, _skip(text, at))
    except (ValueError, StopIteration):  # incomplete or wrong: a larger piece decides
        return None
    except RecursionError:
        raise MalformedJson(f"nested deeper than {MAX_DEPTH}") from None
    end = _skip(text, end)
    return end if text[end : end + 1] == mark else None


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at
