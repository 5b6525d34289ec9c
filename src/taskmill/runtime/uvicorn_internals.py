"""The parts of uvicorn that it does not document, and why they are used; pyproject.toml caps its version.

- `HttpToolsProtocol`: `http_protocol` limits heads, pace and connections, which uvicorn does not. It overrides the
  callbacks of the parser, `_unsupported_upgrade_warning`, `send_400_response`, and what keeps a connection alive:
  `on_response_complete` and `_unset_keepalive_if_required`. It relies on `cycle`, `pipeline`, `flow`, `parser`,
  `scope`, `headers`, `url`, `expect_100_continue`, `server_state`, `timeout_keep_alive_task` and its handler. A
  `FastRequest` has the attributes of its cycle.
- `uvicorn.Server`: it takes over the process's signals, and wakes up ten times a second. Here it does neither.
"""

import contextlib
import socket
from asyncio import Event
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from taskmill.runtime.periodic import pause

__all__ = ["STATUS_LINE", "HttpToolsProtocol", "Server", "ServerState"]

_TICK_S = 1.0


class Server(uvicorn.Server):
    """uvicorn without its signal handlers."""

    def __init__(self, config: uvicorn.Config, *, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._ending = Event()

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
