"""The outermost layer: request ids, a log line for each request, access checks, the deadline, unexpected errors.

It decides nothing about tasks. Of its own it sends only refusals, 503 for late requests, and 500.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import NoReturn

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill.api.queries import check_address
from taskmill.api.refusals import ClientGone, error_response, is_expected, raise_if_refused
from taskmill.api.request_ids import RequestIds
from taskmill.api.request_log import log_served
from taskmill.api.request_metrics import count_gone, count_served
from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import REQUESTS_IN_FLIGHT
from taskmill.runtime.body_memory import BodyMemory
from taskmill.runtime.http_access import DEFAULT_RESPONSE_HEADERS, AccessRules
from taskmill.runtime.http_protocol import ABORT
from taskmill.runtime.http_scope import DEADLINE, HEAD_ONLY
from taskmill.runtime.offload import Caller, Offload, caller
from taskmill.wire.wording import safe_text

log = get_logger(__name__)

_LONGEST_PATH = 200
_RETRY_AFTER_S = 1.0


class Edge:
    """Wraps the whole app; it ignores other protocols than HTTP."""

    def __init__(
        self,
        app: ASGIApp,
        ids: RequestIds,
        access: AccessRules,
        bodies: BodyMemory,
        offload: Offload,
        *,
        timeout_s: float,
    ) -> None:
        self._app = app
        self._ids = ids
        self._access = access
        self._bodies = bodies
        self._offload = offload
        self._timeout_s = timeout_s
        self._in_flight = 0
        REQUESTS_IN_FLIGHT.watch(self, Edge._sample_in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            return
        request = _Request(self._ids.of(scope["headers"]), scope["method"], send)
        if request.method == "HEAD":
            # Served as GET; the server, which has the original scope, leaves the body out.
            scope = {**scope, "method": "GET", HEAD_ONLY: True}
        structlog.contextvars.bind_contextvars(request_id=request.id)
        client = scope.get("client")
        current = Caller(host=client[0] if client else "")
        caller.set(current)
        started = perf_counter()
        self._in_flight += 1
        try:
            await self._respond(scope, receive, request)
        except ClientGone:
            log.info("request.abandoned", method=scope["method"], path=_path(scope))
            count_gone(scope, request.method)
            return
        finally:
            self._in_flight -= 1
        seconds = perf_counter() - started
        count_served(scope, request.method, request.status, seconds)
        if not current.was_offloaded:
            self._offload.note_response()
        _log(scope, request, seconds)

    async def _respond(self, scope: Scope, receive: Receive, request: "_Request") -> None:
        body = self._bodies.track(scope)
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:
                scope[DEADLINE] = deadline
                raise_if_refused(self._access.refusal(scope))
                check_address(scope)
                await self._app(scope, receive, request.send)
        except asyncio.CancelledError:
            _cut_off(scope)  # the server stops, and the grace time is over
        except TimeoutError as error:
            if request.status:
                _cut_off(scope)  # the client does not read the response
            late = Unavailable(_RETRY_AFTER_S, f"a response within {self._timeout_s:g} s")
            log.warning(
                "request.late", method=scope["method"], path=_path(scope), error=repr(error)
            )
            await error_response(late, scope["path"]).send(request.send)
        except ClientGone:
            raise
        except Exception as error:
            if not is_expected(error):
                log.exception("request.failed", method=scope["method"], path=_path(scope))
            if not request.status:
                await error_response(error, scope["path"]).send(request.send)
        finally:
            body.release()

    def _sample_in_flight(self) -> dict[tuple[str, ...], float]:
        return {(): self._in_flight}


class _Request:
    """A request's id, and the status of the response that passes through `send`."""

    __slots__ = ("_header", "_send", "id", "method", "status")

    def __init__(self, request_id: str, method: str, send: Send) -> None:
        self.id = request_id
        self.method = method
        self.status = 0
        self._header = (b"x-request-id", request_id.encode())
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name for name, _ in message["headers"]}
            defaults = [header for header in DEFAULT_RESPONSE_HEADERS if header[0] not in present]
            message["headers"] = [*defaults, *message["headers"], self._header]
        await self._send(message)


def _cut_off(scope: Scope) -> NoReturn:
    """Close the connection of a request that gets no further response. Call it while handling an exception.

    Raises:
        ClientGone: always, except where the server can't abort; then the exception being handled.
    """
    abort: Callable[[], None] | None = scope.get(ABORT)
    if abort is None:
        raise  # noqa: PLE0704 - see above
    abort()
    raise ClientGone


def _path(scope: Scope) -> str:
    return safe_text(scope["path"], _LONGEST_PATH)


def _log(scope: Scope, request: _Request, seconds: float) -> None:
    created = scope.get("taskmill.task_id")
    facts = {} if created is None else {"task_id": created}
    log_served(request.method, _path(scope), request.status, seconds, **facts)
