"""Has the framework respond to errors with problems."""

import asyncio
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from taskmill.api.nearest import Addresses
from taskmill.api.refusals import Refused, error_response
from taskmill.domain.errors import TaskmillError

_UNROUTED: Final = {
    404: "this path leads nowhere",
    405: "the Allow header names the methods that this path takes",
}


def add_error_handlers(app: FastAPI) -> None:
    """Replace the framework's error responses; call it when the app has all its routes."""
    for error in (TaskmillError, Refused, Exception):
        app.add_exception_handler(error, _respond)
    app.add_exception_handler(HTTPException, _HttpErrors(app))


async def _respond(request: Request, error: Exception) -> Response:
    return error_response(error, request.scope["path"]).to_starlette()


class _HttpErrors:
    """Responds to what the framework refuses.

    The framework names the methods of one route, but a path may have several routes; and it suggests no address.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._methods: list[tuple[re.Pattern[str], set[str]]] = []
        self._addresses = Addresses(())

    async def __call__(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
        path = request.scope["path"]
        if error.status_code not in _UNROUTED:
            return error_response(error, path).to_starlette()
        if not self._methods:
            document = await asyncio.to_thread(self._app.openapi)
            self._addresses = Addresses([*_documented(document), *self._undocumented()])
            self._methods = _methods_of(document)
        status, detail = HTTPStatus(error.status_code), _UNROUTED[error.status_code]
        is_known_path = status is HTTPStatus.METHOD_NOT_ALLOWED
        method = request.scope["method"]
        if nearest := self._addresses.nearest(method, path, any_method=not is_known_path):
            detail += f"; the nearest address is {nearest}"
        allow = {}
        if is_known_path:
            allow = {"allow": ", ".join(sorted(self._allowed(path, error)))}
        return error_response(Refused(status, detail, allow), path).to_starlette()

    def _undocumented(self) -> Iterator[tuple[str, str]]:
        """Pages and documents."""
        for route in self._app.routes:
            if isinstance(route, Route) and not route.include_in_schema:
                yield "GET", route.path

    def _allowed(self, path: str, error: HTTPException) -> set[str]:
        allowed = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",")}
        for pattern, methods in self._methods:
            if pattern.fullmatch(path):
                allowed = methods
                break
        return allowed | ({"HEAD"} if "GET" in allowed else set())


def _documented(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, operations in document["paths"].items():
        for method in operations:
            yield method.upper(), path


def _methods_of(document: dict[str, Any]) -> list[tuple[re.Pattern[str], set[str]]]:
    return [
        (_pattern(path), {method.upper() for method in operations})
        for path, operations in sorted(document["paths"].items(), key=_has_parameters)
    ]


def _pattern(path: str) -> re.Pattern[str]:
    exact = re.escape(path.rstrip("/"))
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", exact) + "/?")


def _has_parameters(item: tuple[str, object]) -> bool:
    """Sort exact paths first: `/tasks/batch` also matches `/tasks/{id}`."""
    return "{" in item[0]
