"""Has the framework answer errors as everything else here does."""

import asyncio
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from taskmill.api.refusals import Refused, answer_to
from taskmill.domain.errors import TaskmillError


def add_error_handlers(app: FastAPI) -> None:
    """Replace the framework's own answers; the app has all its routes already."""
    for error in (TaskmillError, Refused, Exception):
        app.add_exception_handler(error, _answer)
    app.add_exception_handler(HTTPException, _HttpErrors(app))


async def _answer(request: Request, error: Exception) -> Response:
    return answer_to(error, request.scope["path"]).response()


class _HttpErrors:
    """Answers what the framework refuses; it names one route's methods, but a path may have several."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._methods: list[tuple[re.Pattern[str], set[str]]] = []

    async def __call__(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
        path = request.scope["path"]
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            if not self._methods:
                document = await asyncio.to_thread(self._app.openapi)
                self._methods = _methods_of(document)
            error.headers = {"allow": ", ".join(sorted(self._allowed(path, error)))}
        return answer_to(error, path).response()

    def _allowed(self, path: str, error: HTTPException) -> set[str]:
        allowed = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",")}
        for pattern, methods in self._methods:
            if pattern.fullmatch(path):
                allowed = methods
                break
        return allowed | ({"HEAD"} if "GET" in allowed else set())


def _methods_of(document: dict[str, Any]) -> list[tuple[re.Pattern[str], set[str]]]:
    return [
        (_pattern(path), {method.upper() for method in operations})
        for path, operations in sorted(document["paths"].items(), key=_has_parameters)
    ]


def _pattern(path: str) -> re.Pattern[str]:
    exact = re.escape(path.rstrip("/"))
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", exact) + "/?")


def _has_parameters(item: tuple[str, object]) -> bool:
    """Put exact paths first: `/tasks/batch` would pass for a task's."""
    return "{" in item[0]
