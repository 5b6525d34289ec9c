"""The connection pools of the asynchronous client, and a new one after a cancelled call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from taskmill.client.pools import LIMITS, checked_environment, headers_of


class _Pool:
    """A pool, and how many calls use it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.calls = 0


class AsyncPools:
    """For asynchronous Python: the pool for new calls, and earlier pools that calls still use.

    A cancelled call may leave its connection taken for ever (httpcore 1.0.9, github.com/encode/httpcore
    issue 1093); after some hundreds, no call would find one. So its pool gets no more calls, and is closed after
    its last one.
    """

    def __init__(
        self, url: str, transport: httpx.AsyncBaseTransport | None, api_key: str | None = None
    ) -> None:
        self._transport = transport
        self._headers = headers_of(api_key)
        with checked_environment(url):
            self._tls = httpx.create_ssl_context()
            self._current = self._opened()
        self._left: set[_Pool] = set()

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a call the connections."""
        pool = self._current
        pool.calls += 1
        try:
            yield pool.http
        except asyncio.CancelledError:
            self._leave(pool)
            raise
        finally:
            pool.calls -= 1
            if pool in self._left and not pool.calls:
                self._left.discard(pool)
                await pool.http.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in (self._current, *self._left):
            await pool.http.aclose()

    def _leave(self, pool: _Pool) -> None:
        # A transport of the caller can't be replaced; and a closed client needs no new one.
        if pool is self._current and self._transport is None and not pool.http.is_closed:
            self._left.add(pool)
            self._current = self._opened()

    def _opened(self) -> _Pool:
        return _Pool(
            httpx.AsyncClient(
                limits=LIMITS, transport=self._transport, verify=self._tls, headers=self._headers
            )
        )
