"""The fast path: callbacks serve the usual form of the two most frequent requests.

A coroutine that passes through all layers costs more than the work itself. Here requests with nothing unusual are
checked as they come, join the batches of `operations`, and get their response when the batch is done. Unusual or
wrong requests go through the layers, which report what is wrong. What the layers add to a request (its id, its log
line, the deadline, metrics) is added here, too.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Final, TypeVar, cast

from taskmill.api.compression import (
    LEAST_BYTES,
    VARY,
    Compressor,
    accepts_gzip,
    encoded_headers,
)
from taskmill.api.context import Context
from taskmill.api.fast_routes import created_response
from taskmill.api.queries import task_id
from taskmill.api.refusals import error_response, is_expected
from taskmill.api.request_ids import RequestIds
from taskmill.api.request_log import log_served
from taskmill.api.request_metrics import count_as
from taskmill.api.responses import RawResponse, task_response
from taskmill.domain.errors import TaskNotFound, Unavailable
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import Task
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import REQUESTS_IN_FLIGHT
from taskmill.operations.create import CreationFuture
from taskmill.runtime.fast_path import FastRequest, Header
from taskmill.runtime.http_access import DEFAULT_RESPONSE_HEADERS
from taskmill.runtime.offload import LARGE_BYTES
from taskmill.wire.strict_json import parse
from taskmill.wire.tasks import to_draft

log = get_logger(__name__)

Result = TypeVar("Result")

_COLLECTION: Final = b"/tasks"
_PREFIX: Final = b"/tasks/"
_TASK_URL_LENGTH: Final = len(_PREFIX) + 36
_RETRY_AFTER_S: Final = 1.0
_JSON: Final = b"application/json"
# Headers that change what a request means.
_UNUSUAL: Final = frozenset(
    {
        b"content-encoding",
        b"idempotency-key",
        b"if-none-match",
        b"origin",
        b"prefer",
        b"sec-fetch-site",
        b"traceparent",
    }
)
_CHECKED: Final = _UNUSUAL | {b"host", b"content-type"}


class _Call:
    """A request that is being served."""

    __slots__ = ("id", "method", "path", "request", "route", "started")

    def __init__(self, request: FastRequest, request_id: str, method: str, route: str) -> None:
        self.request = request
        self.id = request_id
        self.method = method
        self.path = request.url.decode("ascii")
        self.route = route
        self.started = perf_counter()


class FastPath:
    """Serves `POST /tasks` and `GET /tasks/{id}` when they have nothing unusual."""

    def __init__(self, context: Context, ids: RequestIds, compressor: Compressor) -> None:
        self._context = context
        self._compressor = compressor
        self._ids = ids
        # In order of arrival: the first one is the first to be late.
        self._open: dict[_Call, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        REQUESTS_IN_FLIGHT.watch(self, FastPath._sample_open)

    def accepts(self, method: bytes, url: bytes) -> bool:
        """Return whether it may serve a request with this first line."""
        if url == _COLLECTION:
            return method == b"POST"
        return method == b"GET" and len(url) == _TASK_URL_LENGTH and url.startswith(_PREFIX)

    def begin(self, request: FastRequest) -> bool:
        """Begin to serve a request; False when it has to go through the layers."""
        host = _usual_host(request.headers)
        if host is None or not self._context.access.allows_host(host):
            return False
        try:
            return self._create(request) if request.method == b"POST" else self._read(request)
        except Exception:  # noqa: BLE001 - the layers meet the same error, and report it
            return False

    def _create(self, request: FastRequest) -> bool:
        context = self._context
        if len(request.body) > min(context.limits.body_bytes, LARGE_BYTES):
            return False
        draft = to_draft(parse(bytes(request.body)), source="rest", limits=context.quick_limits)
        if draft.idempotency:
            return False
        call = self._call(request, "POST", "/tasks")
        warning = context.warning_of(draft.callback_url)
        # From here on nothing may fail: the layers would create the task again.
        future = context.service.begin_create(draft)
        if future is None:
            return False
        self._open_call(call)
        future.add_done_callback(partial(self._created, call, warning))
        return True

    def _read(self, request: FastRequest) -> bool:
        wanted = task_id(request.url[len(_PREFIX) :].decode("ascii"))
        call = self._call(request, "GET", "/tasks/{id}")
        future = self._context.service.begin_get(wanted)
        if future is None:
            return False
        self._open_call(call)
        future.add_done_callback(partial(self._found, call))
        return True

    def _created(self, call: _Call, warning: str | None, future: CreationFuture) -> None:
        result = _result_of(future)
        if isinstance(result, CreatedTask):
            self._render(call, partial(created_response, warning=warning), result)
        else:
            self._respond_error(call, result)

    def _found(self, call: _Call, future: "asyncio.Future[Task | None]") -> None:
        result = _result_of(future)
        if isinstance(result, Task):
            self._render(call, task_response, result)
        else:
            self._respond_error(call, result or TaskNotFound(task_id(call.path[len(_PREFIX) :])))

    def _render(self, call: _Call, render: Callable[[Result], RawResponse], found: Result) -> None:
        try:
            response = render(found)
        except Exception as error:  # noqa: BLE001 - nothing else would respond
            self._respond_error(call, error)
            return
        if len(response.body) < LEAST_BYTES or call.method != "GET":
            self._respond(call, response)
        else:
            self._respond_large(call, response)

    def _respond_large(self, call: _Call, response: RawResponse) -> None:
        """Respond with a body that is worth compressing."""
        response.headers = (*response.headers, VARY)
        wanted = accepts_gzip(call.request.headers)
        pending = self._compressor.begin(response.body) if wanted else None
        if pending is None:
            self._respond(call, response)
        else:
            pending.add_done_callback(partial(self._respond_compressed, call, response))

    def _respond_compressed(
        self, call: _Call, response: RawResponse, pending: "asyncio.Future[bytes]"
    ) -> None:
        compressed = _result_of(pending)
        if isinstance(compressed, bytes):
            response.body, response.headers = compressed, encoded_headers(response.headers)
        self._respond(call, response)

    def _respond_error(self, call: _Call, error: Exception) -> None:
        if not is_expected(error):
            log.error(
                "request.failed",
                method=call.method,
                path=call.path,
                request_id=call.id,
                exc_info=error,
            )
        self._respond(call, error_response(error, call.path))

    def _respond(self, call: _Call, response: RawResponse) -> None:
        if call not in self._open:
            return  # it got a response already: it was late
        del self._open[call]
        headers = (
            *DEFAULT_RESPONSE_HEADERS,
            *response.headers,
            (b"x-request-id", call.id.encode()),
        )
        call.request.respond(response.status, headers, response.body)
        seconds = perf_counter() - call.started
        count_as(call.method, call.route, response.status, seconds)
        self._context.offload.note_response()
        facts = {} if response.task_id is None else {"task_id": response.task_id}
        log_served(call.method, call.path, response.status, seconds, request_id=call.id, **facts)

    def _call(self, request: FastRequest, method: str, route: str) -> _Call:
        return _Call(request, self._ids.of(request.headers), method, route)

    def _open_call(self, call: _Call) -> None:
        self._open[call] = None
        if self._timer is None:
            self._watch(call)

    def _watch(self, first: _Call) -> None:
        """Set the timer for the deadline of the oldest request."""
        remaining_s = first.started + self._context.limits.request_timeout_s - perf_counter()
        self._timer = asyncio.get_running_loop().call_later(max(remaining_s, 0), self._respond_late)

    def _respond_late(self) -> None:
        """Respond to requests whose time is up; whether their tasks exist is not known yet."""
        self._timer = None
        limit_s = self._context.limits.request_timeout_s
        for call in list(self._open):
            if perf_counter() - call.started < limit_s:
                self._watch(call)
                return
            log.warning("request.late", method=call.method, path=call.path, request_id=call.id)
            late = Unavailable(_RETRY_AFTER_S, f"a response within {limit_s:g} s")
            self._respond(call, error_response(late, call.path))

    def _sample_open(self) -> dict[tuple[str, ...], float]:
        return {(): len(self._open)}


def _result_of(future: "asyncio.Future[Result]") -> Result | Exception:
    if future.cancelled():
        return Unavailable(_RETRY_AFTER_S, "the service")
    error = future.exception()
    return future.result() if error is None else cast("Exception", error)


def _usual_host(headers: Sequence[Header]) -> bytes | None:
    """Return the `Host` of a request with usual headers, None for any other."""
    host = None
    for name, value in headers:
        if name in _CHECKED:
            if name == b"host" and host is None:
                host = value
            elif name != b"content-type" or value != _JSON:
                return None
    return host
