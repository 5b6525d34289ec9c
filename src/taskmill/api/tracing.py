"""The layer that makes a span for each request that creates tasks; it exists only when traces are on.

It is the outermost layer, so that a span has the status that the client got. It replaces the caller's
`traceparent` header with the span's, so the tasks get that context.
"""

from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill.api.bodies import traceparent_of
from taskmill.api.routers.legacy import PREFIX
from taskmill.domain.api_keys import without_secrets
from taskmill.runtime.http_scope import TASK_ID

if TYPE_CHECKING:
    from taskmill.observability.traces import LiveSpan, Traces

_ROUTES: Final = {
    "/tasks": "/tasks",
    "/tasks/batch": "/tasks/batch",
    f"{PREFIX}/api/v1/task": f"{PREFIX}/api/v1/task/",
    f"{PREFIX}/api/v1/task/": f"{PREFIX}/api/v1/task/",
}
_FIRST_SERVER_ERROR: Final = 500


class TracingMiddleware:
    """Wraps the whole app."""

    def __init__(self, app: ASGIApp, traces: "Traces") -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        route = _ROUTES.get(scope["path"]) if scope.get("method") == "POST" else None
        if route is None:
            # A pipelined request starts at the end of the one before it, inside the context of that one's span.
            self._traces.forget()
            await self._app(scope, receive, send)
            return
        span = self._traces.start(
            f"POST {route}",
            kind="server",
            traceparent=traceparent_of(scope),
            attributes={
                "http.request.method": "POST",
                "http.route": route,
                "url.path": without_secrets(scope["path"]),
                "url.scheme": scope["scheme"],
            },
        )
        _replace_traceparent(scope, span.traceparent)
        span.name_in_logs()
        recorder = _StatusRecorder(send)
        try:
            with span.current():
                await self._app(scope, receive, recorder.send)
        finally:
            _end(span, scope, recorder.status)


class _StatusRecorder:
    """Records a response's status; 0 before it is sent, and when the client leaves before that."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _replace_traceparent(scope: Scope, traceparent: str | None) -> None:
    """Replace the caller's trace context with ours."""
    others = [header for header in scope["headers"] if header[0] != b"traceparent"]
    if traceparent is not None:
        others.append((b"traceparent", traceparent.encode()))
    scope["headers"] = others


def _end(span: "LiveSpan", scope: Scope, status: int) -> None:
    if status:
        span.set_attributes({"http.response.status_code": status})
    if TASK_ID in scope:
        span.set_attributes({"taskmill.task.id": scope[TASK_ID]})
    if status >= _FIRST_SERVER_ERROR:
        span.fail(str(status))
    span.end()
