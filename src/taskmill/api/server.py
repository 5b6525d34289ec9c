"""The API's server: its address, and what it logs when it starts and stops."""

import socket

from taskmill.api.app import Api
from taskmill.observability.logs import get_logger
from taskmill.runtime.http_server import HttpServer, listening_socket, reserved_address

log = get_logger(__name__)


class ApiServer(HttpServer[Api]):
    """Serves the API until it is stopped; while it stops, `/readyz` reports that."""

    name = "api"
    advice = "--host and --port (TASKMILL_API__HOST, TASKMILL_API__PORT)"

    def on_started(self) -> None:
        """Log the URL."""
        log.info("api.started", url=self.url)

    def on_stopping(self) -> None:
        """Have `/readyz` keep new requests away, and end streams."""
        self._app.stop_being_ready()

    def on_stopped(self) -> None:
        """Log that no more requests are served."""
        log.info("api.stopped")


def share_address(host: str, port: int) -> socket.socket:
    """Reserve an address for processes that listen there with `reuse_port`, until the socket is closed.

    Raises:
        ConfigurationError: the address is in use, or can't be used.
    """
    return reserved_address(host, port, ApiServer.advice)


def check_address(host: str, port: int) -> None:
    """Check that the API could listen there, before other things are started.

    Raises:
        ConfigurationError: it can't.
    """
    listening_socket(host, port, ApiServer.advice).close()
