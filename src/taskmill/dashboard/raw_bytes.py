"""Shows bytes from outside: as text when they are text, else in hexadecimal; of many only the beginning."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST_TEXT: Final = 32_768
"""Bytes of a text that are shown."""

MOST_HEX: Final = 4_096
"""Bytes that are shown in hexadecimal."""

_IN_A_ROW: Final = 16
_DOT: Final = "."
# Control characters, and those that change the direction of text, are shown by their number.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# With more of these it is not text for people, even if it is UTF-8.
_LARGEST_ACTING_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The beginning of some bytes, fit for a page. `is_whole` is whether it is all of them."""

    content: str
    is_text: bool
    is_whole: bool


def shown(body: bytes) -> Shown:
    """Return what to show of a body."""
    text = _text(body)
    if text is None:
        return Shown(
            content="\n".join(_rows(body[:MOST_HEX])),
            is_text=False,
            is_whole=len(body) <= MOST_HEX,
        )
    return Shown(content=text, is_text=True, is_whole=len(body) <= MOST_TEXT)


def _text(body: bytes) -> str | None:
    """Return the beginning as text; None when it is not text."""
    is_cut = len(body) > MOST_TEXT
    try:
        text = body[:MOST_TEXT].decode()
    except UnicodeDecodeError as error:
        # The cut may have gone through a character.
        if not is_cut or error.start < MOST_TEXT - 3:
            return None
        text = body[: error.start].decode()
    visible, acting = _ACTING.subn(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)
    return None if acting > len(text) * _LARGEST_ACTING_SHARE else visible


def _rows(body: bytes) -> Iterator[str]:
    for start in range(0, len(body), _IN_A_ROW):
        row = body[start : start + _IN_A_ROW]
        yield f"{start:06x}  {row.hex(' '):<{3 * _IN_A_ROW}} {_ascii(row)}"


def _ascii(row: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else _DOT for byte in row)  # noqa: PLR2004 - printable ASCII
