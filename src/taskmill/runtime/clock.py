"""The only home of time: a monotonic clock, and a wall clock anchored to PostgreSQL's.

Machines' clocks differ and jump. Times that are stored are made by PostgreSQL, or by this clock, which
counts on from the last time that PostgreSQL told.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where code takes the time from."""

    def now(self) -> datetime:
        """Return the time in UTC, as PostgreSQL would tell it."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, for measuring durations."""
        ...


class SystemClock:
    """The real clock. Until it is anchored it tells the machine's own time."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> datetime:
        """Return the anchored time in UTC."""
        return datetime.fromtimestamp(self._offset + time.monotonic(), UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    def anchor(self, told: datetime, *, asked_at: float, answered_at: float) -> None:
        """Correct the clock by what PostgreSQL told between two monotonic readings.

        It is moved no further than that proves: a slow answer says little of when the time was read, and half
        of a delay of a second would make tasks run so much too early, or late.
        """
        earliest, latest = told.timestamp() - answered_at, told.timestamp() - asked_at
        self._offset = min(max(self._offset, earliest), latest)


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Return the time it was moved to."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds it was moved by."""
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        """Move both readings on."""
        self._now += by
        self._monotonic += by.total_seconds()
