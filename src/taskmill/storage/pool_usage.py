"""Counts checkouts of a connection pool, callers that wait for one, and failures. It owns no connection."""

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
    """The metrics of one pool of `size` connections."""

    def __init__(self, pool: str, size: int) -> None:
        self.pool = pool
        self.used = 0
        self.waiting = 0
        POOL_SIZE.watch(self, lambda pool_usage: {(pool_usage.pool,): size})
        POOL_USED.watch(self, lambda pool_usage: {(pool_usage.pool,): pool_usage.used})
        POOL_WAITING.watch(self, lambda pool_usage: {(pool_usage.pool,): pool_usage.waiting})

    def checkout(self) -> "Checkout":
        """Return a context manager for one checkout."""
        return Checkout(self)

    def close(self) -> None:
        """Remove this pool from the metrics."""
        for metric in (POOL_SIZE, POOL_USED, POOL_WAITING):
            metric.forget(self)


class Checkout:
    """One use of a connection: it waits until `acquired` is called, and uses it until the end of the block."""

    __slots__ = ("_began_at", "_is_acquired", "_pool_usage")

    def __init__(self, pool_usage: PoolUsage) -> None:
        self._pool_usage = pool_usage
        self._is_acquired = False

    def __enter__(self) -> Self:
        self._pool_usage.waiting += 1
        self._began_at = perf_counter()
        return self

    def acquired(self) -> None:
        """Record that the connection was acquired."""
        self._is_acquired = True
        self._pool_usage.waiting -= 1
        self._pool_usage.used += 1
        POOL_WAIT.observe(perf_counter() - self._began_at, (self._pool_usage.pool,))

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._is_acquired:
            self._pool_usage.used -= 1
        else:
            self._pool_usage.waiting -= 1
        if error is not None and (cause := self._cause(error)) is not None:
            STATEMENTS_FAILED.add(1, (cause,))

    def _cause(self, error: BaseException) -> str | None:
        """Return what failed; None when it was the statement's own fault."""
        if isinstance(error, asyncio.CancelledError):
            return None
        if not self._is_acquired:
            is_late = isinstance(error, TimeoutError | PoolTimeout)
            return "no_connection" if is_late else "outage"
        if isinstance(error, Unavailable) or not faults.is_outage(error):
            return None
        return "timeout" if faults.is_time_up(error) else "outage"
