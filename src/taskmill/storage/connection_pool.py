"""A pool of connections that grows while they are used and shrinks when they are not. It knows no statement."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

import asyncpg

from taskmill.storage.servers import Connection

_CLOSE_S = 2.0


class ConnectionPool:
    """At most `size` connections, opened when they are needed.

    The one that was used last is taken first, so that the others become unused.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self._connect = connect
        self._free = asyncio.Semaphore(size)
        # The one that was used last is the last.
        self._idle: list[Connection] = []
        # When each was acquired, the one that is in use for longest first.
        self._used = dict[Connection, float]()
        # Those that were in use when an outage was found.
        self._suspects = set[Connection]()
        # How many were idle all the time since `close_unused`.
        self._unused = 0

    async def acquire(self, timeout_s: float) -> Connection:
        """Return an idle connection that the server has not closed meanwhile, or else a new one.

        Raises:
            TimeoutError: all of them have been in use for `timeout_s`.
            Exception: whatever prevents connecting.
        """
        async with asyncio.timeout(timeout_s):
            await self._free.acquire()
        try:
            connection = self._open_idle() or await self._connect()
        except BaseException:
            self._free.release()
            raise
        self._used[connection] = perf_counter()
        return connection

    @property
    def longest_use_s(self) -> float:
        """For how long the connection has been in use that was acquired first; 0 when none is."""
        acquired_at = next(iter(self._used.values()), None)
        return 0.0 if acquired_at is None else perf_counter() - acquired_at

    def release(self, connection: Connection, *, is_clean: bool = True) -> None:
        """Take a connection back; it is closed at once if it is not clean."""
        self._used.pop(connection, None)
        if is_clean and connection not in self._suspects:
            self._idle.append(connection)
        else:
            self._suspects.discard(connection)
            connection.terminate()
        self._free.release()

    def discard(self) -> None:
        """Close all, those in use when they are released: through a dead network they look alive."""
        self._suspects |= self._used.keys()
        self._unused = 0
        while self._idle:
            self._idle.pop().terminate()

    async def close_unused(self) -> None:
        """Close those that have been idle since this was called before."""
        unused, self._idle = self._idle[: self._unused], self._idle[self._unused :]
        self._unused = len(self._idle)
        for connection in unused:
            await _close(connection)

    async def close(self) -> None:
        """Close all; those in use are closed when they are released."""
        self._unused = len(self._idle)
        await self.close_unused()
        self.discard()

    def _open_idle(self) -> "Connection | None":
        while self._idle:
            connection = self._idle.pop()
            self._unused = min(self._unused, len(self._idle))
            if not connection.is_closed():
                return connection
            connection.terminate()
        return None


async def _close(connection: Connection) -> None:
    """Close a connection in order, or else at once."""
    try:
        await connection.close(timeout=_CLOSE_S)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()
