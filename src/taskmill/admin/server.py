"""Serves the admin port of a process. It starts before the roles do and stops after them."""

from taskmill.admin.app import AdminApp
from taskmill.observability.logs import get_logger
from taskmill.runtime.connections import ConnectionLimits
from taskmill.runtime.http_server import HttpServer
from taskmill.runtime.request_clock import DEFAULT_PACE, Pace

log = get_logger(__name__)

_ADVICE = "TASKMILL_ADMIN_HOST and TASKMILL_ADMIN_PORT"
_GRACE_S = 2.0
# Probes and scrapes: a handful of clients.
_LIMITS = ConnectionLimits(total=256, unfinished_per_address=32)


class AdminServer(HttpServer):
    """Listens on `host` and `port` (0 picks a free one, which is logged)."""

    name = "admin"

    def __init__(
        self,
        app: AdminApp,
        *,
        host: str,
        port: int,
        limits: ConnectionLimits = _LIMITS,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        super().__init__(
            app, host=host, port=port, advice=_ADVICE, grace_s=_GRACE_S, limits=limits, pace=pace
        )

    def on_started(self) -> None:
        """Log the address."""
        log.info("admin.started", url=self.url)

    def on_stopped(self) -> None:
        """Log that it has stopped."""
        log.info("admin.stopped")
