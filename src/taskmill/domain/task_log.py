"""What handlers log while they run a task: lines, each of the claim that it was written under."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

NOTHING: Final = 51
"""Above all levels of Python's `logging`: no line has it."""
_NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class LineLevel(StrEnum):
    """The level of a line, the lowest first."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def number(self) -> int:
        """Its number in Python's `logging`."""
        return _NUMBERS[self]

    @classmethod
    def of(cls, number: int) -> "LineLevel":
        """Return the highest level that is not above a number; any lower one is `debug`."""
        return next((one for one in reversed(cls) if one.number <= number), cls.DEBUG)


class LinePosition(NamedTuple):
    """The position of a line among those of a task. The default is before the first line of the first claim."""

    claim_no: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a claim, whose lines are numbered from 1. `fields` is JSON text.

    `logger` is the name of a logger of Python's `logging`, None for the context's own.
    """

    claim_no: int
    seq: int
    at: datetime
    level: LineLevel
    logger: str | None
    message: str
    fields: str | None

    @property
    def position(self) -> LinePosition:
        """Its position among the lines of the task."""
        return LinePosition(self.claim_no, self.seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentLine:
    """A line that a worker sends. `fields` is JSON text."""

    level: LineLevel
    message: str
    fields: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFilter:
    """Which lines of a task to read: of one claim or of all, of this level or higher, and with this text.

    The text is one of the message or of the fields, in any case; without one all lines fit.
    """

    claim_no: int | None = None
    level: LineLevel = LineLevel.DEBUG
    text: str = ""
