"""The only home of time: a monotonic clock, and a wall clock anchored to PostgreSQL's.

Machines' clocks differ and jump. Stored times are made by PostgreSQL, or by this clock, which counts on from the
last time that it read from PostgreSQL.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of the time."""

    def now(self) -> datetime:
        """Return the time in UTC, as PostgreSQL's clock has it."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, for measuring durations."""
        ...


class SystemClock:
    """The real clock. Until it is anchored it returns the machine's own time."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> datetime:
        """Return the anchored time in UTC."""
        return datetime.fromtimestamp(self._offset + time.monotonic(), UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    def machine_ahead_s(self) -> float:
        """Return by how many seconds the machine's own clock is ahead of PostgreSQL's."""
        return time.time() - self._offset - time.monotonic()

    def anchor(self, database_time: datetime, *, requested_at: float, received_at: float) -> None:
        """Correct the clock by a time that PostgreSQL returned between two monotonic readings.

        It is moved only as far as the reading proves: after a slow round trip it is unknown when the time was
        read, and taking the middle would make tasks run too early or too late by half of the delay.
        """
        earliest = database_time.timestamp() - received_at
        latest = database_time.timestamp() - requested_at
        self._offset = min(max(self._offset, earliest), latest)
