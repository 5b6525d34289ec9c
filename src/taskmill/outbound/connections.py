"""The private parts of the HTTP client's library (aiohttp) that are used; pyproject.toml caps its version.

Its own limits count only the connections that are in use. Here idle ones count, too: a connection stays open for
a while after its use, and when many hosts are called, the one that has been idle the longest is closed for a new
one. A connection on which data arrived while it was idle is not used again: that data would be taken for the next
response. And a request is sent once.
"""

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class Connections(aiohttp.TCPConnector):
    """Opens no more connections than `limit`, in use and idle together."""

    async def _get(self, key: "ConnectionKey", traces: "list[Trace]") -> "Connection | None":
        while (found := await super()._get(key, traces)) is not None:
            if found.protocol is not None and not found.protocol.should_close:
                return found
            found.close()
        return None

    async def _create_connection(
        self,
        req: "ClientRequest",
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the library's
    ) -> "ResponseHandler":
        # `_acquired` includes the new one already.
        while self._conns and len(self._acquired) + self._idle > self.limit:
            self._close_oldest()
        return await super()._create_connection(req, traces, timeout)

    @property
    def _idle(self) -> int:
        return sum(map(len, self._conns.values()))

    def _close_oldest(self) -> None:
        key = min(self._conns, key=lambda key: self._conns[key][0][1])
        idle = self._conns[key]
        protocol, _ = idle.popleft()
        protocol.close()
        if not idle:
            del self._conns[key]


def send_once(session: aiohttp.ClientSession) -> None:
    """Have a session not retry GET, HEAD, PUT and DELETE by itself after a connection was cut."""
    session._retry_connection = False  # noqa: SLF001 - there is no other way; the library's own tests do so
