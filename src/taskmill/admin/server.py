"""Serves the admin port of a process. It starts before the roles do and stops after them."""

from taskmill.admin.app import AdminApp
from taskmill.observability.logs import get_logger
from taskmill.runtime.connections import ConnectionLimits
from taskmill.runtime.http_server import HttpServer

log = get_logger(__name__)


class AdminServer(HttpServer[AdminApp]):
    """Listens on `host` and `port` (0 picks a free one, which is logged)."""

    name = "admin"
    advice = "TASKMILL_ADMIN_HOST and TASKMILL_ADMIN_PORT"
    usual_grace_s = 2.0
    # Probes and scrapes: a handful of clients.
    usual_limits = ConnectionLimits(total=256, unfinished_per_address=32)

    def on_started(self) -> None:
        """Log the address."""
        log.info("admin.started", url=self.url)

    def on_stopped(self) -> None:
        """Log that it has stopped."""
        log.info("admin.stopped")
