"""Keeps what is done again and again to a share of the time, however long it has come to take."""

from taskmill.runtime.clock import Clock


class DutyCycle:
    """Grows with the time, up to `most_s`, and is spent by what is charged; while something is left it is open.

    It is closed for `longest_s` at most, whatever was charged: that may have been a stall, which is over.
    """

    def __init__(self, clock: Clock, *, share: float, most_s: float, longest_s: float) -> None:
        self._clock = clock
        self._share = share
        self._most_s = most_s
        self._least_s = -share * longest_s
        self._left_s = most_s
        self._counted_at = clock.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether it may be done now."""
        self._grow()
        return self._left_s > 0

    def charge(self, seconds: float) -> None:
        """Count what doing it took; it may be more than was left."""
        self._grow()
        self._left_s = max(self._left_s - seconds, self._least_s)

    def _grow(self) -> None:
        now = self._clock.monotonic()
        self._left_s = min(self._left_s + self._share * (now - self._counted_at), self._most_s)
        self._counted_at = now
