"""A terminal in which the program runs: its screen, its keys, its size."""

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from rich.cells import cell_len

from tests.support.polling import wait_until

# The child makes it its controlling terminal, as a shell would: then Ctrl-C and changes of size reach it.
_START = (
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "from taskmill.cli.main import main; main()"
)
_TOKEN = re.compile(
    r"\x1b\[(?P<parameters>[<=>?0-9;$]*)(?P<command>[A-Za-z])|(?P<text>[^\x1b]+)"
    r"|\x1b\][^\x07]*\x07|\x1b[^\[\]]"
)


class Terminal:
    """The program, run in a pseudo-terminal; `sent` is everything that it has written."""

    def __init__(
        self, *arguments: str, width: int = 80, height: int = 24, **environment: str
    ) -> None:
        self._ours, self._theirs = pty.openpty()
        self.resize(width, height)
        self._cells: dict[tuple[int, int], str] = {}
        self._row = self._column = 1
        self._position = 0
        self.before = termios.tcgetattr(self._theirs)
        self.sent = ""
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _START, *arguments],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env={**environment_of_a_terminal(), **environment},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        self._reader.join()
        os.close(self._ours)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def resize(self, width: int, height: int) -> None:
        """Change the size."""
        self._width, self._height = width, height
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def modes(self) -> list[Any]:
        """Return how the terminal treats keys now."""
        return termios.tcgetattr(self._theirs)

    def lines(self) -> list[str]:
        """Return the lines on the screen, for a program that clears none of it."""
        while token := _TOKEN.match(self.sent, self._position):
            self._position = token.end()
            if token["command"] == "H":
                row, _, column = token["parameters"].partition(";")
                self._row, self._column = int(row or 1), int(column or 1)
            for letter in token["text"] or "":
                self._put(letter)
        return [
            "".join(self._cells.get((row, column), " ") for column in range(1, self._width + 1))
            for row in range(1, self._height + 1)
        ]

    def _put(self, letter: str) -> None:
        width = cell_len(letter)
        if letter == "\r":
            self._column = 1
        elif letter == "\n":
            self._row += 1
        elif not width:  # joins the one before
            self._cells[self._row, self._column - 1] += letter
        else:
            self._cells[self._row, self._column] = letter
            for more in range(1, width):
                self._cells[self._row, self._column + more] = ""
            self._column += width

    def shows(self, *texts: str) -> list[str]:
        """Wait until all of these texts are on the screen; returns its lines."""

        def is_there() -> bool:
            assert self.process.poll() is None, self.sent
            return all(text in "\n".join(self.lines()) for text in texts)

        try:
            wait_until(is_there, "")
        except AssertionError:
            raise AssertionError(f"{texts} not in\n" + "\n".join(self.lines())) from None
        return self.lines()

    def exit_status(self) -> int:
        """Wait until the program ends."""
        return self.process.wait(15)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        with suppress(OSError):  # how Linux reports that the other end is closed
            while part := os.read(self._ours, 65536):
                self.sent += decoder.decode(part)


def environment_of_a_terminal() -> Mapping[str, str]:
    """Return the variables of a program in a terminal."""
    inherited = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - for a child
        if not name.startswith("TASKMILL_") and name not in ("NO_COLOR", "COLUMNS", "LINES")
    }
    return {**inherited, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
