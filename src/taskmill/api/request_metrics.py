"""Counts requests by route, as documented; never by path, of which there is no end."""

from starlette.types import Scope

from taskmill.observability.kinds import OTHER
from taskmill.observability.metrics import REQUEST_TIME, REQUESTS
from taskmill.runtime.http_scope import ROUTE, UNTIMED

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLASSES = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")
_GONE = "gone"


def count_served(scope: Scope, method: str, status: int, seconds: float) -> None:
    """Count a request that was served, and how long that took."""
    method = method if method in _METHODS else OTHER
    route = scope.get(ROUTE) or _route(scope)
    REQUESTS.add(1, (method, route, _CLASSES[status // 100]))
    if UNTIMED not in scope:
        REQUEST_TIME.observe(seconds, (method, route))


def count_as(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request of a known route that was served, and how long that took."""
    REQUESTS.add(1, (method, route, _CLASSES[status // 100]))
    REQUEST_TIME.observe(seconds, (method, route))


def count_gone(scope: Scope, method: str) -> None:
    """Count a request whose client left before it was complete."""
    method = method if method in _METHODS else OTHER
    REQUESTS.add(1, (method, scope.get(ROUTE) or _route(scope), _GONE))


def _route(scope: Scope) -> str:
    """Return the route that the framework has found, if any."""
    path: str = getattr(scope.get("route"), "path", OTHER)
    return path if path == OTHER else scope.get("root_path", "") + path
