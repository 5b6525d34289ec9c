"""Makes task and lease ids: UUIDv7 in strictly rising order within a process."""

import random
from uuid import UUID

from taskmill.runtime.clock import Clock

_VERSION_AND_VARIANT = (0x7 << 76) | (0x2 << 62)
_COUNTER_BITS = 12
_RANDOM_BITS = 62


class IdFactory:
    """Milliseconds, then a 12-bit counter (RFC 9562, method 1), then 62 random bits.

    When the counter overflows or the clock steps back, ids run ahead of the clock by as many
    milliseconds as it takes; order is never broken.
    """

    def __init__(self, clock: Clock, randomness: random.Random) -> None:
        self._clock = clock
        self._random_bits = randomness.getrandbits
        self._last = 0

    def __call__(self) -> UUID:
        """Return the next id."""
        moment = int(self._clock.now().timestamp() * 1000) << _COUNTER_BITS
        self._last = moment if moment > self._last else self._last + 1
        milliseconds, counter = divmod(self._last, 1 << _COUNTER_BITS)
        return UUID(
            int=milliseconds << 80
            | counter << 64
            | _VERSION_AND_VARIANT
            | self._random_bits(_RANDOM_BITS)
        )
