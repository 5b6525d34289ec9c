"""The API's server: its address, and what it logs when it starts and stops."""

import socket

from taskmill.api.app import Api
from taskmill.observability.logs import get_logger
from taskmill.runtime.connections import DEFAULT_LIMITS, ConnectionLimits
from taskmill.runtime.http_server import HttpServer, listening_socket, reserved_address
from taskmill.runtime.request_clock import DEFAULT_PACE, Pace

log = get_logger(__name__)

_ADVICE = "--host and --port (TASKMILL_API__HOST, TASKMILL_API__PORT)"


class ApiServer(HttpServer):
    """Serves the API until it is stopped; while it stops, `/readyz` reports that."""

    name = "api"

    def __init__(
        self,
        app: Api,
        *,
        host: str,
        port: int,
        grace_s: float = 10.0,
        keep_alive_s: float = 30.0,
        stop_delay_s: float = 0.0,
        reuse_port: bool = False,
        limits: ConnectionLimits = DEFAULT_LIMITS,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        super().__init__(
            app,
            host=host,
            port=port,
            advice=_ADVICE,
            grace_s=grace_s,
            keep_alive_s=keep_alive_s,
            stop_delay_s=stop_delay_s,
            reuse_port=reuse_port,
            limits=limits,
            pace=pace,
        )
        self._api = app

    def on_started(self) -> None:
        """Log the URL."""
        log.info("api.started", url=self.url)

    def on_stopping(self) -> None:
        """Have `/readyz` keep new requests away, and end streams."""
        self._api.stop_being_ready()

    def on_stopped(self) -> None:
        """Log that no more requests are served."""
        log.info("api.stopped")


def share_address(host: str, port: int) -> socket.socket:
    """Reserve an address for processes that listen there with `reuse_port`, until the socket is closed.

    Raises:
        ConfigurationError: the address is in use, or can't be used.
    """
    return reserved_address(host, port, _ADVICE)


def check_address(host: str, port: int) -> None:
    """Check that the API could listen there, before other things are started.

    Raises:
        ConfigurationError: it can't.
    """
    listening_socket(host, port, _ADVICE).close()
