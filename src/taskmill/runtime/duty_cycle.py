"""Keeps repeated work to a share of the time, however long one repetition takes."""

from taskmill.runtime.clock import Clock


class DutyCycle:
    """A budget that grows with the time, up to `most_s`; work is charged to it, and allowed while it lasts.

    It is closed for `longest_s` at most, however much was charged: the charge may have been a stall that is over.
    """

    def __init__(self, clock: Clock, *, share: float, most_s: float, longest_s: float) -> None:
        self._clock = clock
        self._share = share
        self._most_s = most_s
        self._least_s = -share * longest_s
        self._remaining_s = most_s
        self._counted_at = clock.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether the work may be done now."""
        self._grow()
        return self._remaining_s > 0

    def charge(self, seconds: float) -> None:
        """Charge the seconds that the work took; they may exceed the budget."""
        self._grow()
        self._remaining_s = max(self._remaining_s - seconds, self._least_s)

    def _grow(self) -> None:
        now = self._clock.monotonic()
        self._remaining_s = min(
            self._remaining_s + self._share * (now - self._counted_at), self._most_s
        )
        self._counted_at = now
