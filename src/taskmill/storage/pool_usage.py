"""Counts who uses a pool's connections, who waits for one, and what goes wrong. It lends nothing itself."""

import asyncio
from time import perf_counter
from typing import Self

from sqlalchemy.exc import TimeoutError as PoolTimeout

from taskmill.domain.errors import Unavailable
from taskmill.observability.metrics import (
    POOL_SIZE,
    POOL_USED,
    POOL_WAIT,
    POOL_WAITING,
    STATEMENTS_FAILED,
)
from taskmill.storage import faults


class PoolUsage:
    """The connections of one pool, which has `size` of them, as they come and go."""

    def __init__(self, pool: str, size: int) -> None:
        self.pool = pool
        self.used = 0
        self.waiting = 0
        POOL_SIZE.watch(self, lambda pool_usage: {(pool_usage.pool,): size})
        POOL_USED.watch(self, lambda pool_usage: {(pool_usage.pool,): pool_usage.used})
        POOL_WAITING.watch(self, lambda pool_usage: {(pool_usage.pool,): pool_usage.waiting})

    def checkout(self) -> "Checkout":
        """Return the checkout of somebody who wants a connection: a context manager."""
        return Checkout(self)

    def close(self) -> None:
        """Tell of this pool no more."""
        for reading in (POOL_SIZE, POOL_USED, POOL_WAITING):
            reading.forget(self)


class Checkout:
    """Somebody who waits for a connection, and uses it from `served` on."""

    __slots__ = ("_came_at", "_is_served", "_pool_usage")

    def __init__(self, pool_usage: PoolUsage) -> None:
        self._pool_usage = pool_usage
        self._is_served = False

    def __enter__(self) -> Self:
        self._pool_usage.waiting += 1
        self._came_at = perf_counter()
        return self

    def served(self) -> None:
        """The connection is there."""
        self._is_served = True
        self._pool_usage.waiting -= 1
        self._pool_usage.used += 1
        POOL_WAIT.observe(perf_counter() - self._came_at, (self._pool_usage.pool,))

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._is_served:
            self._pool_usage.used -= 1
        else:
            self._pool_usage.waiting -= 1
        if error is not None and (cause := self._cause(error)) is not None:
            STATEMENTS_FAILED.add(1, (cause,))

    def _cause(self, error: BaseException) -> str | None:
        """Return what failed; None when it is the statement's own fault, or nothing did."""
        if isinstance(error, asyncio.CancelledError):
            return None
        if not self._is_served:
            is_late = isinstance(error, TimeoutError | PoolTimeout)
            return "no_connection" if is_late else "outage"
        if isinstance(error, Unavailable) or not faults.is_outage(error):
            return None
        return "timeout" if faults.is_time_up(error) else "outage"
