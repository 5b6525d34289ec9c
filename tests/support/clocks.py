"""A clock for tests."""

from datetime import datetime, timedelta


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
