"""Has the framework respond to errors with problems."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Final, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount, Route

from taskmill.api.nearest import Addresses
from taskmill.api.refusals import Refused, error_response
from taskmill.api.responses import RawResponse
from taskmill.domain.errors import QueueLimitReached, TaskmillError, UnservedTypeLimitReached
from taskmill.domain.quotas import QuotaExceeded
from taskmill.runtime.offload import caller
from taskmill.runtime.rate_limits import REFUSAL_DELAY_S

_ANY_METHOD: Final = "*"
# Who is refused because of these often tries again at once, and each refusal takes milliseconds.
_LATE: Final = (QuotaExceeded, QueueLimitReached, UnservedTypeLimitReached)
_NOTHING: Final = "(?!)"
_UNROUTED: Final = {
    404: "this path leads nowhere",
    405: "the Allow header names the methods that this path takes",
}


def add_error_handlers(app: FastAPI, *, prefix: str = "") -> "HttpErrors":
    """Replace the framework's error responses; `prefix` is where the app is mounted."""
    for error in (TaskmillError, Refused, Exception):
        app.add_exception_handler(error, _respond)
    errors = HttpErrors(app, prefix)
    app.add_exception_handler(HTTPException, errors)
    return errors


def _was_large() -> bool:
    """Return whether the request took work of the thread for large ones."""
    current = caller.get()
    return current is not None and current.was_offloaded


async def _respond(request: Request, error: Exception) -> Response:
    if isinstance(error, _LATE) or _was_large():
        await asyncio.sleep(REFUSAL_DELAY_S)
    return error_response(error, request.scope["path"]).to_starlette()


class _Known(NamedTuple):
    path: str
    methods: set[str]
    is_documented: bool


class HttpErrors:
    """Responds to what the framework refuses.

    The framework names the methods of one route, but a path may have several routes; and it suggests no address.
    """

    def __init__(self, app: FastAPI, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, request: Request, error: Exception) -> Response:
        """Respond to an error of the framework."""
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
        path = request.scope["path"]
        if error.status_code not in _UNROUTED:
            return error_response(error, path).to_starlette()
        method = request.scope["method"]
        if error.status_code == HTTPStatus.NOT_FOUND:
            return self.not_found(method, path).to_starlette()
        allow = {"allow": ", ".join(sorted(self._allowed(path, error)))}
        return self._unrouted(HTTPStatus.METHOD_NOT_ALLOWED, method, path, allow).to_starlette()

    def has_route(self, path: str) -> bool:
        """Return whether the app, or one that is mounted in it, has a route for a path."""
        return self._all_paths.match(path) is not None

    def may_serve(self, method: str, path: str) -> bool:
        """Return whether the app, or one that is mounted in it, may have a route for a method and a path."""
        paths = self._paths_by_method.get(method, self._paths_by_method[_ANY_METHOD])
        return paths.match(path) is not None

    def not_found(self, method: str, path: str) -> RawResponse:
        """Return the response for a path that has no route."""
        return self._unrouted(HTTPStatus.NOT_FOUND, method, path, {})

    def _unrouted(
        self, status: HTTPStatus, method: str, path: str, headers: Mapping[str, str]
    ) -> RawResponse:
        detail = _UNROUTED[status]
        any_method = status is HTTPStatus.NOT_FOUND
        if nearest := self._addresses.nearest(method, path, any_method=any_method):
            detail += f"; the nearest address is {nearest}"
        return error_response(Refused(status, detail, headers), path)

    @cached_property
    def _all_paths(self) -> re.Pattern[str]:
        return _any_of(
            context.original_route.path_regex.pattern
            for context in iter_route_contexts(self._app.routes)
            if isinstance(context.original_route, Route | Mount)
        )

    @cached_property
    def _paths_by_method(self) -> dict[str, re.Pattern[str]]:
        served = list(_served_by(self._app.routes))
        methods = {_ANY_METHOD}.union(*(methods for _, methods in served))
        return {
            method: _any_of(path for path, known in served if known & {method, _ANY_METHOD})
            for method in methods
        }

    @cached_property
    def _routes(self) -> list[_Known]:
        """All routes, once the app has them: documented ones, pages and documents."""
        return [
            _Known(self._path(route), route.methods or set(), isinstance(route, APIRoute))
            for context in iter_route_contexts(self._app.routes)
            if isinstance(route := context.original_route, Route)
            and (route.include_in_schema or not isinstance(route, APIRoute))
        ]

    def _path(self, route: Route) -> str:
        return self._prefix + route.path if isinstance(route, APIRoute) else route.path

    @cached_property
    def _addresses(self) -> Addresses:
        return Addresses(
            (method, known.path)
            for known in self._routes
            for method in (known.methods if known.is_documented else ("GET",))
        )

    @cached_property
    def _methods(self) -> list[tuple[re.Pattern[str], set[str]]]:
        """The methods of each documented path, exact paths first: `/tasks/batch` also matches `/tasks/{id}`."""
        methods: dict[str, set[str]] = {}
        for known in self._routes:
            if known.is_documented:
                methods.setdefault(known.path, set()).update(known.methods)
        return [(_pattern(path), methods[path]) for path in sorted(methods, key=_has_parameters)]

    def _allowed(self, path: str, error: HTTPException) -> set[str]:
        allowed = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",")}
        for pattern, methods in self._methods:
            if pattern.fullmatch(path):
                allowed = methods
                break
        return allowed | ({"HEAD"} if "GET" in allowed else set())


def _served_by(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield the pattern of each route and its methods, also of the routes of apps that are mounted."""
    for context in iter_route_contexts(routes):
        route = context.original_route
        if isinstance(route, Mount) and route.routes:
            yield from _served_by(route.routes, prefix + re.escape(route.path))
        elif isinstance(route, Route | Mount):
            methods = route.methods if isinstance(route, Route) else None
            pattern = prefix + route.path_regex.pattern.removeprefix("^")
            yield f"^{pattern}", set(methods or {_ANY_METHOD})


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    joined = "|".join(patterns) or _NOTHING
    return re.compile(re.sub(r"\?P<\w+>", "?:", joined), re.DOTALL)


def _pattern(path: str) -> re.Pattern[str]:
    exact = re.escape(path.rstrip("/"))
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", exact) + "/?")


def _has_parameters(path: str) -> bool:
    return "{" in path
