"""When a failed attempt is retried: exponential back-off with a maximum and jitter."""

from dataclasses import dataclass
from datetime import timedelta

# After this many doublings any maximum is reached; a larger exponent only overflows.
_LARGEST_EXPONENT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`base * factor ** (attempt - 1)`, at most `maximum`, spread by ± `jitter` of itself (0 to 1)."""

    base: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    maximum: timedelta = timedelta(hours=1)
    jitter: float = 0.1

    def delay(self, attempt: int, randomness: float) -> timedelta:
        """Return the wait after the failed `attempt` (1 is the first), never over `maximum`.

        `randomness` in [0, 1) picks the point within the jitter.
        """
        exponent = min(attempt - 1, _LARGEST_EXPONENT)
        seconds = min(self.base.total_seconds() * self.factor**exponent, self._ceiling)
        spread = 1 + self.jitter * (2 * randomness - 1)
        return timedelta(seconds=min(seconds * spread, self._ceiling))

    @property
    def _ceiling(self) -> float:
        return self.maximum.total_seconds()
