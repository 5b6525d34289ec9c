"""Counts requests by what was asked for: the route as documented, never the path as it came."""

from starlette.types import Scope

from taskmill.observability.kinds import OTHER
from taskmill.observability.metrics import REQUEST_TIME, REQUESTS
from taskmill.runtime.http_scope import HELD, ROUTE

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLASSES = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")
_GONE = "gone"


def count_answered(scope: Scope, method: str, status: int, seconds: float) -> None:
    """Count a request that was answered within so many seconds."""
    method = method if method in _METHODS else OTHER
    route = scope.get(ROUTE) or _route(scope)
    REQUESTS.add(1, (method, route, _CLASSES[status // 100]))
    if HELD not in scope:
        REQUEST_TIME.observe(seconds, (method, route))


def count_as(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request of a documented route that was answered within so many seconds."""
    REQUESTS.add(1, (method, route, _CLASSES[status // 100]))
    REQUEST_TIME.observe(seconds, (method, route))


def count_gone(scope: Scope, method: str) -> None:
    """Count a request whose client left before it was complete."""
    method = method if method in _METHODS else OTHER
    REQUESTS.add(1, (method, scope.get(ROUTE) or _route(scope), _GONE))


def _route(scope: Scope) -> str:
    """Return the route that the framework has found, if it has."""
    path: str = getattr(scope.get("route"), "path", OTHER)
    return path if path == OTHER else scope.get("root_path", "") + path
