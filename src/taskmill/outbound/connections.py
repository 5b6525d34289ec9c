"""Connections of the HTTP client, those that are idle counted, too: its own limits are for those in use only.

One that was used lately is kept for its host. Where many hosts are called one after the other, the one that has
been idle the longest makes room for a new one. One over which something came while it was idle is not used again:
it would be taken for the answer to the next request.
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
        # The new one is counted among those in use already.
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
