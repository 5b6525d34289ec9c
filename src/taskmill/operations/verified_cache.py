"""What keys and sessions have in common: verified ones are cached, and that they are used is recorded."""

from collections.abc import Awaitable, Callable, Set as AbstractSet
from math import inf
from typing import Final, Generic, NamedTuple, TypeVar

from taskmill.runtime.clock import Clock

FRESH_S: Final = 30.0
"""How long what was verified is valid without looking again, unless a notification comes."""

_MOST_CACHED: Final = 1000

Id = TypeVar("Id")
Found = TypeVar("Found")


class _Cached(NamedTuple, Generic[Found]):
    found: Found
    stale_at: float


class Reading(NamedTuple):
    """When a look-up began: what it finds counts from then, unless all was forgotten meanwhile."""

    at: float
    revision: int


class VerifiedCache(Generic[Id, Found]):
    """The verified ones, by hashes of what was shown, and the ids of those that were used.

    `store_use` stores that some were used; `on_use` is called when there is something to store.
    """

    def __init__(
        self, clock: Clock, store_use: Callable[[AbstractSet[Id]], Awaitable[object]]
    ) -> None:
        self.on_use: Callable[[], None] = lambda: None
        self._clock = clock
        self._store_use = store_use
        self._cached: dict[bytes, _Cached[Found]] = {}
        self._used: set[Id] = set()
        # Grows with each notification: what was read before is not cached after it.
        self._revision = 0

    def forget(self) -> None:
        """Look up everything again: some were changed. Until then it is known that they were valid once."""
        self._revision += 1
        self._cached = {digest: one._replace(stale_at=-inf) for digest, one in self._cached.items()}

    async def record_use(self) -> None:
        """Store which were used since the last call."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await self._store_use(used)
        except BaseException:
            self._used |= used
            raise

    def _fresh(self, digest: bytes) -> Found | None:
        cached = self._cached.get(digest)
        if cached is None or self._clock.monotonic() >= cached.stale_at:
            return None
        return cached.found

    def _is_stale(self, digest: bytes) -> bool:
        cached = self._cached.get(digest)
        return cached is not None and self._clock.monotonic() >= cached.stale_at

    def _drop(self, digest: bytes) -> None:
        self._cached.pop(digest, None)

    def _begin_reading(self) -> Reading:
        return Reading(self._clock.monotonic(), self._revision)

    def _remember(self, digest: bytes, found: Found, reading: Reading) -> None:
        if reading.revision != self._revision:
            return
        self._drop(digest)
        if len(self._cached) >= _MOST_CACHED:
            del self._cached[next(iter(self._cached))]
        self._cached[digest] = _Cached(found, reading.at + FRESH_S)

    def _note_use(self, used: Id) -> None:
        if used not in self._used:
            self._used.add(used)
            self.on_use()
