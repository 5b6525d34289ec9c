"""Parses requests to create a task; of one that has far more fields than there are, only the first.

80,000 of them in one native call hold the interpreter's lock for 20 ms (on a busy machine, 2026-11-30), and all
that they bring is a refusal, which needs few.
"""

from codecs import utf_8_decode
from typing import Final

from taskmill.wire.array_items import end_of_item
from taskmill.wire.strict_json import parse

_SMALL_BYTES: Final = 64 * 1024
_FIRST_BYTES: Final = 16 * 1024
# Several times as many as a request may have.
_MOST_FIELDS: Final = 200


def parse_request(body: bytes) -> object:
    """Return the JSON document that a body is, as `parse` does.

    Of an object of more than 64 KiB that begins with more than 200 short fields, only these and one more: it is
    not known whether what follows is JSON.
    """
    first = None if len(body) <= _SMALL_BYTES else _first_fields(body[:_FIRST_BYTES])
    return parse(body if first is None else first)


def _first_fields(piece: bytes) -> bytes | None:
    """Return an object with the first fields of the one that begins with this; None if that has fewer."""
    try:
        text, _ = utf_8_decode(piece, "strict", False)  # noqa: FBT003 - the codec's signature
    except UnicodeDecodeError:
        return None
    at: int | None = text.find("{")
    if at == -1 or text[:at].strip():
        return None
    for _ in range(_MOST_FIELDS + 1):
        at = None if at is None else end_of_item(text, at + 1, ":")
        at = None if at is None else end_of_item(text, at + 1, ",")
    return None if at is None else f"{text[:at]}}}".encode()
