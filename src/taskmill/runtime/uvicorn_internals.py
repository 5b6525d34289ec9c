"""The parts of uvicorn that it does not document, and why they are used; pyproject.toml caps its version.

- `HttpToolsProtocol`: `http_protocol` limits heads, pace and connections, which uvicorn does not. It overrides the
  callbacks of the parser, `_unsupported_upgrade_warning`, `send_400_response`, and what keeps a connection alive:
  `on_response_complete` and `_unset_keepalive_if_required`. It relies on `cycle`, `pipeline`, `flow`, `parser`,
  `scope`, `headers`, `url`, `expect_100_continue`, `server_state`, `timeout_keep_alive_task` and its handler. A
  `FastRequest` has the attributes of its cycle.
- `uvicorn.Server`: it takes over the process's signals, wakes up ten times a second, and takes a tenth of a second
  to stop when nothing is in flight. Here it does none of these. It relies on `servers` and `server_state`.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from taskmill.observability.logs import get_logger
from taskmill.runtime.periodic import pause

__all__ = ["STATUS_LINE", "HttpToolsProtocol", "Server", "ServerState"]

log = get_logger(__name__)

_TICK_S = 1.0
_LOOK_S = 0.01
# A connection that was just accepted has its protocol after three rounds of the event loop.
_ROUNDS = 5


class Server(uvicorn.Server):
    """uvicorn without its signal handlers."""

    def __init__(self, config: uvicorn.Config, *, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._ending = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the process."""
        yield

    async def startup(self, sockets: "list[socket.socket] | None" = None) -> None:
        """Start, and report that."""
        await super().startup(sockets)
        self._on_started()

    async def main_loop(self) -> None:
        """Keep the date of responses right. An event ends it; uvicorn's own polls ten times a second."""
        while not await self.on_tick(0):
            await pause(self._ending, _TICK_S)

    async def shutdown(self, sockets: "list[socket.socket] | None" = None) -> None:
        """Stop listening, and wait until nothing is in flight or the grace time is over."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                await self._await_requests()
        except TimeoutError:
            log.warning("server.requests_aborted", requests=len(self.server_state.tasks))

    async def _await_requests(self) -> None:
        # Connections and requests are sets of uvicorn's, which report nothing.
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)

    def end(self) -> None:
        """Stop listening, and let requests in flight finish."""
        self.should_exit = True
        self._ending.set()

    def abandon(self) -> None:
        """Close what is left when the grace time is over, or serving was cancelled."""
        for server in getattr(self, "servers", ()):
            server.close()
        for task in self.server_state.tasks:
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
