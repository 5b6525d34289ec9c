"""The API's own server: where it listens, and what it tells while it starts and stops."""

import socket

from taskmill.api.app import Api
from taskmill.observability.logs import get_logger
from taskmill.runtime.connections import DEFAULT_LIMITS, ConnectionLimits
from taskmill.runtime.http_server import HttpServer, bound, held
from taskmill.runtime.request_clock import DEFAULT_PACE, Pace

log = get_logger(__name__)

_ADVICE = "--host and --port (TASKMILL_API__HOST, TASKMILL_API__PORT)"


class ApiServer(HttpServer):
    """Serves the API until told to stop; while it stops, `/readyz` says so."""

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
        """Tell where it is."""
        log.info("api.started", url=self.url)

    def on_stopping(self) -> None:
        """Keep new requests away."""
        self._api.stop_being_ready()

    def on_stopped(self) -> None:
        """Tell that the doors are closed."""
        log.info("api.stopped")


def share_address(host: str, port: int) -> socket.socket:
    """Hold an address for processes that listen there with `reuse_port`; close it to give it up.

    Raises:
        ConfigurationError: somebody has it, or nobody can.
    """
    return held(host, port, _ADVICE)


def check_address(host: str, port: int) -> None:
    """Try whether the API could listen there: whoever starts much before it asks first.

    Raises:
        ConfigurationError: it could not.
    """
    bound(host, port, _ADVICE).close()
