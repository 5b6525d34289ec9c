"""The log line of a request that was served, and its level."""

from taskmill.observability.logs import get_logger, is_for_people

log = get_logger(__name__)

_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_READING = frozenset({"GET", "HEAD"})
_FIRST_ERROR = 400


def log_served(method: str, path: str, status: int, seconds: float, **facts: str) -> None:
    """Write the line. On a terminal, reads are logged as debug only, so that they do not hide changes."""
    is_read = method in _READING and status < _FIRST_ERROR
    is_quiet = path in _QUIET_PATHS or (is_read and is_for_people())
    write = log.debug if is_quiet else log.info
    duration_ms = round(seconds * 1000, 2)
    write(
        "request.served", method=method, path=path, status=status, duration_ms=duration_ms, **facts
    )
