"""Reads the bytes of a terminal as keys."""

import codecs
from enum import Enum

__all__ = ["Key", "Keys"]


class Key(Enum):
    """A key that is not a letter."""

    UP = "up"
    DOWN = "down"
    LEFT = "left"
    RIGHT = "right"
    HOME = "home"
    END = "end"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    TAB = "tab"
    BACK_TAB = "back tab"
    ENTER = "enter"
    ESCAPE = "escape"
    BACKSPACE = "backspace"


_ESCAPE = "\x1b"
_SINGLE = {
    "\t": Key.TAB,
    "\r": Key.ENTER,
    "\n": Key.ENTER,
    "\x7f": Key.BACKSPACE,
    "\x08": Key.BACKSPACE,
}
_SEQUENCES = {
    "A": Key.UP,
    "B": Key.DOWN,
    "C": Key.RIGHT,
    "D": Key.LEFT,
    "H": Key.HOME,
    "F": Key.END,
    "Z": Key.BACK_TAB,
    "1~": Key.HOME,
    "7~": Key.HOME,
    "4~": Key.END,
    "8~": Key.END,
    "5~": Key.PAGE_UP,
    "6~": Key.PAGE_DOWN,
}
_LONGEST_SEQUENCE = 16


class Keys:
    """Reads keys out of bytes as they come; a sequence may come in pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = ""

    def add(self, data: bytes) -> list[Key | str]:
        """Return the complete keys; a letter is a string, and unknown sequences are left out."""
        self._pending += self._decoder.decode(data)
        found: list[Key | str] = []
        while self._pending and (size := _size(self._pending)):
            piece, self._pending = self._pending[:size], self._pending[size:]
            if (key := _key(piece)) is not None:
                found.append(key)
        return found

    def is_waiting(self) -> bool:
        """Return whether a sequence has begun, which may be the escape key itself."""
        return bool(self._pending)

    def give_up(self) -> list[Key | str]:
        """Take an escape that nothing followed for the key."""
        was_alone, self._pending = self._pending == _ESCAPE, ""
        return [Key.ESCAPE] if was_alone else []


def _size(text: str) -> int:
    """Return how many characters the first key takes, 0 when it is not complete."""
    if text[0] != _ESCAPE:
        return 1
    if len(text) == 1:
        return 0
    if text[1] == "O":
        return 3 if len(text) >= 3 else 0  # noqa: PLR2004 - ESC O and a letter
    if text[1] != "[":
        return 1
    for size, letter in enumerate(text[2:_LONGEST_SEQUENCE], 3):
        if "@" <= letter <= "~":
            return size
    return 0 if len(text) < _LONGEST_SEQUENCE else _LONGEST_SEQUENCE


def _key(piece: str) -> Key | str | None:
    if piece == _ESCAPE:
        return Key.ESCAPE
    if piece[0] == _ESCAPE:
        return _SEQUENCES.get(piece[2:])
    return _SINGLE.get(piece) or (piece if piece.isprintable() else None)
