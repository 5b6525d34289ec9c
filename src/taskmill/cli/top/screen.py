"""The terminal of the live view: a page of its own, keys without Enter, and only changed lines are written."""

import os
import sys
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

__all__ = ["Screen"]

# The alternate screen, no cursor, and no wrapping: a terminal may take a letter for wider than we do.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
# Terminals that know it show a picture at once, others ignore it.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"


class Screen:
    """A terminal that is restored, whatever happens."""

    def __init__(self) -> None:
        self.keyboard = sys.stdin.fileno()
        self._before = termios.tcgetattr(self.keyboard)
        self._lines: list[str] = []
        self._size = (0, 0)

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def enter(self) -> None:
        """Take the terminal."""
        tty.setcbreak(self.keyboard, termios.TCSANOW)
        self._lines = []
        _write(_ENTER)

    def leave(self) -> None:
        """Give the terminal back."""
        _write(_LEAVE)
        termios.tcsetattr(self.keyboard, termios.TCSANOW, self._before)

    def size(self) -> tuple[int, int]:
        """Return columns and lines."""
        found = os.get_terminal_size(sys.stdout.fileno())
        return (found.columns or 80, found.lines or 24)

    def paint(self, lines: Sequence[Text], size: tuple[int, int]) -> None:
        """Show lines: as many as the terminal has."""
        if size != self._size:
            self._lines, self._size = [], size
        rendered = _rendered(lines, size[0])
        old: list[str | None] = [*self._lines] or [None] * len(rendered)
        changed = [
            f"\x1b[{number};1H\x1b[2K{line}"
            for number, (line, before) in enumerate(zip(rendered, old, strict=True), 1)
            if line != before
        ]
        if changed:
            clear = "" if self._lines else "\x1b[2J"
            _write(_BEGIN + clear + "".join(changed) + _END)
        self._lines = rendered


def _rendered(lines: Sequence[Text], width: int) -> list[str]:
    """Return lines with their colours: as many as the terminal has, none with NO_COLOR."""
    console = Console(
        file=sys.stdout,
        force_terminal=True,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as captured:
        for line in lines:
            console.print(line, soft_wrap=True)
    return captured.get().split("\n")[: len(lines)]


def _write(text: str) -> None:
    """Write at once; what the terminal's encoding lacks becomes a question mark."""
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding, errors="replace"))
    sys.stdout.buffer.flush()
