"""What the connections of a pool are used for: counts checkouts, callers that wait, and failures; watches writes.

It owns no connection.
"""

import asyncio
from time import perf_counter
from typing import Final, Self

from taskmill.domain.errors import Unavailable
from taskmill.observability.metrics import (
    POOL_SIZE,
    POOL_USED,
    POOL_WAIT,
    POOL_WAITING,
    STATEMENTS_FAILED,
)
from taskmill.storage import faults

# A healthy write takes milliseconds. One that waits for a key of another request may take as long as this.
_LATE_S: Final = 2.0


class WriteWatch:
    """Which writes are in flight, when the last one was committed, and whether one has failed since."""

    def __init__(self) -> None:
        # In order of their begin: the first one is the oldest.
        self._in_flight: dict[Checkout, None] = {}
        self._committed_at = float("-inf")
        self._has_failed = False

    def note_commit(self) -> None:
        """Record a commit: further writes can be expected to commit, too."""
        self._committed_at = perf_counter()
        self._has_failed = False

    @property
    def is_in_doubt(self) -> bool:
        """Whether a write has failed or waits for long, and none has been committed since."""
        return self._has_failed or self._waits()

    def _waits(self) -> bool:
        oldest = next(iter(self._in_flight), None)
        if oldest is None:
            return False
        return perf_counter() - max(oldest.began_at, self._committed_at) > _LATE_S

    def begin(self, write: "Checkout") -> None:
        """Add a write in flight."""
        self._in_flight[write] = None

    def end(self, write: "Checkout", error: BaseException | None) -> None:
        """Remove a write. One that PostgreSQL refuses for its content says nothing about other writes."""
        if error is None:
            self.note_commit()
        elif _is_outage(error) or (isinstance(error, asyncio.CancelledError) and self._waits()):
            self._has_failed = True
        del self._in_flight[write]


class PoolUsage:
    """The metrics of one pool of `size` connections."""

    def __init__(self, pool: str, size: int) -> None:
        self.pool = pool
        self.used = 0
        self.waiting = 0
        POOL_SIZE.watch(self, lambda pool_usage: {(pool_usage.pool,): size})
        POOL_USED.watch(self, lambda pool_usage: {(pool_usage.pool,): pool_usage.used})
        POOL_WAITING.watch(self, lambda pool_usage: {(pool_usage.pool,): pool_usage.waiting})

    def checkout(self, writes: WriteWatch | None = None) -> "Checkout":
        """Return a context manager for one checkout; for a write, with what watches writes."""
        return Checkout(self, writes)

    def close(self) -> None:
        """Remove this pool from the metrics."""
        for metric in (POOL_SIZE, POOL_USED, POOL_WAITING):
            metric.forget(self)


class Checkout:
    """One use of a connection: it waits until `acquired` is called, and uses it until the end of the block."""

    __slots__ = ("_is_acquired", "_pool_usage", "_writes", "began_at")

    def __init__(self, pool_usage: PoolUsage, writes: WriteWatch | None) -> None:
        self._pool_usage = pool_usage
        self._writes = writes
        self._is_acquired = False
        self.began_at = perf_counter()

    def __enter__(self) -> Self:
        self._pool_usage.waiting += 1
        if self._writes is not None:
            self._writes.begin(self)
        return self

    def acquired(self) -> None:
        """Record that the connection was acquired."""
        self._is_acquired = True
        self._pool_usage.waiting -= 1
        self._pool_usage.used += 1
        POOL_WAIT.observe(perf_counter() - self.began_at, (self._pool_usage.pool,))

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._is_acquired:
            self._pool_usage.used -= 1
        else:
            self._pool_usage.waiting -= 1
        if self._writes is not None:
            self._writes.end(self, error)
        if error is not None and (cause := self._cause(error)) is not None:
            STATEMENTS_FAILED.add(1, (cause,))

    def _cause(self, error: BaseException) -> str | None:
        """Return what failed; None when it was the statement's own fault."""
        if isinstance(error, asyncio.CancelledError):
            return None
        if not self._is_acquired:
            return "no_connection" if isinstance(error, TimeoutError) else "outage"
        if isinstance(error, Unavailable) or not faults.is_outage(error):
            return None
        return "timeout" if faults.is_time_up(error) else "outage"


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, Unavailable) or faults.is_outage(error)
