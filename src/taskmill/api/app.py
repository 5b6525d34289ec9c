"""Puts the API together: layers from the outside in, routers, documents.

Edge        request id, log line, deadline, last resort
HotPaths    POST /tasks and GET /tasks/{id}
FastAPI     everything else, and the OpenAPI document of it all
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from taskmill import __version__
from taskmill.api.context import Context
from taskmill.api.edge import Edge
from taskmill.api.hot import HotPaths
from taskmill.api.openapi import install
from taskmill.api.refusals import Refused, answer_to
from taskmill.api.routers import batches, documents, health, legacy, system, tasks
from taskmill.domain.errors import TaskmillError
from taskmill.operations.service import TaskService
from taskmill.settings import Settings
from taskmill.wire.problems import Problem
from taskmill.wire.queues import QueueChange
from taskmill.wire.rules import InputLimits
from taskmill.wire.tasks import CreateTask

_DESCRIPTION: Final = """\
A task service: hand it work, watch it run, never lose it.

Every error is `application/problem+json` (RFC 9457) with a stable `type`; it says what was expected, what
came, and where. Every answer carries `X-Request-Id`, under which the logs tell more. Times are RFC 3339 in
UTC; names of queues and types match `[a-z0-9][a-z0-9._-]{0,62}`.

The earlier service's addresses live on below `/task_service`, with [their own page](task_service/docs).

The same, to read: [ReDoc](redoc). To try it out: [Swagger UI](docs).
"""
_TAGS: Final = [
    {"name": "tasks", "description": "Create, read, list, cancel and retry tasks."},
    {"name": "queues", "description": "What waits where; pause and resume."},
    {"name": "system", "description": "Counts and workers."},
    {"name": "health", "description": "For load balancers and orchestrators."},
]


class Api:
    """The whole API as one ASGI app."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.framework = create_framework(context)
        self._app = Edge(
            HotPaths(self.framework, context), timeout_s=context.limits.request_timeout_s
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)

    def stop_being_ready(self) -> None:
        """Have `/readyz` say that no new requests should come here; all are still answered."""
        self._context.is_stopping = True


def create_app(
    service: TaskService, *, settings: Settings, drain: Callable[[], None] | None = None
) -> Api:
    """Make the API over a service that is entered already.

    `drain` is called, and must return at once, when the earlier service's address asks for a worker.
    """
    limits = settings.limits
    return Api(
        Context(
            service=service,
            limits=limits,
            input_limits=InputLimits(
                labels=limits.labels, idempotency_key_chars=limits.idempotency_key_chars
            ),
            drain=drain,
        )
    )


def create_framework(context: Context) -> FastAPI:
    """Make the FastAPI app that has every route, the hot ones too."""
    app = FastAPI(
        title="Taskmill",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    for router in (tasks.router, batches.router, system.router, health.router):
        app.include_router(router)
    install(app, (CreateTask, QueueChange, Problem))
    documents.add_documents(app, static="static", with_redoc=True)
    app.mount("/static", documents.PackageFiles())
    app.mount(legacy.PREFIX, legacy.create_legacy_app(context, version=__version__))
    for error in (TaskmillError, Refused, Exception):
        app.add_exception_handler(error, _answer_to)
    app.add_exception_handler(HTTPException, _HttpErrors(app))
    return app


async def _answer_to(request: Request, error: Exception) -> Response:
    return answer_to(error, request.url.path).response()


class _HttpErrors:
    """Answers what the framework refuses; it names one route's methods, but a path may have several."""

    def __init__(self, app: FastAPI) -> None:
        self._methods = [
            (_pattern(path), {method.upper() for method in operations})
            for path, operations in sorted(app.openapi()["paths"].items(), key=_has_parameters)
        ]

    async def __call__(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
        path = request.url.path
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            error.headers = {"allow": ", ".join(sorted(self._allowed(path, error)))}
        return answer_to(error, path).response()

    def _allowed(self, path: str, error: HTTPException) -> set[str]:
        told = (error.headers or {}).get("Allow", "")
        allowed = {method.strip() for method in told.split(",") if method.strip()}
        for pattern, methods in self._methods:
            if pattern.fullmatch(path):
                return methods | ({"HEAD"} if "GET" in methods else set())
        return allowed | ({"HEAD"} if "GET" in allowed else set())


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))


def _has_parameters(item: tuple[str, object]) -> bool:
    """Put exact paths first: `/tasks/batch` would pass for a task's."""
    return "{" in item[0]
