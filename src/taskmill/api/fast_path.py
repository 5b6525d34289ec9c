"""The two requests that come by the thousand, as they come most often: answered by callbacks.

A coroutine for each, with all the layers that it passes, costs more than what is done for it. Here requests that
have nothing unusual are checked as they come, go into the batches of `operations`, and are answered when their
batch is done. Whatever is unusual, or wrong, goes through the layers: they say what is wrong. What layers add to a
request (its id, its log line, the deadline, metrics) is added here, too.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Final, TypeVar, cast

from taskmill.api.answers import Answer, task_answer
from taskmill.api.compression import (
    LEAST_BYTES,
    VARY,
    Compressor,
    encoded_headers,
    takes_gzip,
)
from taskmill.api.context import Context
from taskmill.api.fast_routes import created_answer
from taskmill.api.measuring import count_as
from taskmill.api.queries import task_id
from taskmill.api.refusals import answer_to, is_foreseen
from taskmill.api.request_ids import RequestIds
from taskmill.api.request_log import log_served
from taskmill.domain.errors import TaskNotFound, Unavailable
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import Task
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import REQUESTS_IN_FLIGHT
from taskmill.operations.create import CreationFuture
from taskmill.runtime.fast_path import FastRequest, Header
from taskmill.runtime.http_access import ANSWER_HEADERS
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
# With one of these a request means more than its body says.
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
_LOOKED_AT: Final = _UNUSUAL | {b"host", b"content-type"}


class _Call:
    """A request that is being answered."""

    __slots__ = ("id", "method", "path", "request", "route", "started")

    def __init__(self, request: FastRequest, request_id: str, method: str, route: str) -> None:
        self.request = request
        self.id = request_id
        self.method = method
        self.path = request.url.decode("ascii")
        self.route = route
        self.started = perf_counter()


class FastPath:
    """Takes `POST /tasks` and `GET /tasks/{id}` when all about them is ordinary."""

    def __init__(self, context: Context, ids: RequestIds, compressor: Compressor) -> None:
        self._context = context
        self._compressor = compressor
        self._ids = ids
        # In the order in which they came, so the first one is the first to be late.
        self._open: dict[_Call, None] = {}
        self._clock: asyncio.TimerHandle | None = None
        REQUESTS_IN_FLIGHT.watch(self, FastPath._told_open)

    def takes(self, method: bytes, url: bytes) -> bool:
        """Tell from its first line whether a request may go this way."""
        if url == _COLLECTION:
            return method == b"POST"
        return method == b"GET" and len(url) == _TASK_URL_LENGTH and url.startswith(_PREFIX)

    def begin(self, request: FastRequest) -> bool:
        """Begin with a request; False when it has to go the long way."""
        host = _usual_host(request.headers)
        if host is None or not self._context.access.lets_in(host):
            return False
        try:
            return self._create(request) if request.method == b"POST" else self._read(request)
        except Exception:  # noqa: BLE001 - whatever it is, the long way meets it, too, and tells of it
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
        # From here on nothing may fail: the long way would make the task once more.
        later = context.service.begin_create(draft)
        if later is None:
            return False
        self._open_call(call)
        later.add_done_callback(partial(self._created, call, warning))
        return True

    def _read(self, request: FastRequest) -> bool:
        wanted = task_id(request.url[len(_PREFIX) :].decode("ascii"))
        call = self._call(request, "GET", "/tasks/{id}")
        later = self._context.service.begin_get(wanted)
        if later is None:
            return False
        self._open_call(call)
        later.add_done_callback(partial(self._found, call))
        return True

    def _created(self, call: _Call, warning: str | None, later: CreationFuture) -> None:
        outcome = _outcome(later)
        if isinstance(outcome, CreatedTask):
            self._show(call, partial(created_answer, warning=warning), outcome)
        else:
            self._answer_error(call, outcome)

    def _found(self, call: _Call, later: "asyncio.Future[Task | None]") -> None:
        outcome = _outcome(later)
        if isinstance(outcome, Task):
            self._show(call, task_answer, outcome)
        else:
            self._answer_error(call, outcome or TaskNotFound(task_id(call.path[len(_PREFIX) :])))

    def _show(self, call: _Call, show: Callable[[Result], Answer], found: Result) -> None:
        try:
            answer = show(found)
        except Exception as error:  # noqa: BLE001 - nobody else would answer
            self._answer_error(call, error)
            return
        if len(answer.body) < LEAST_BYTES or call.method != "GET":
            self._answer(call, answer)
        else:
            self._answer_large(call, answer)

    def _answer_large(self, call: _Call, answer: Answer) -> None:
        """Answer with what is worth compressing."""
        answer.headers = (*answer.headers, VARY)
        wanted = takes_gzip(call.request.headers)
        pending = self._compressor.begin(answer.body) if wanted else None
        if pending is None:
            self._answer(call, answer)
        else:
            pending.add_done_callback(partial(self._answer_compressed, call, answer))

    def _answer_compressed(
        self, call: _Call, answer: Answer, pending: "asyncio.Future[bytes]"
    ) -> None:
        compressed = _outcome(pending)
        if isinstance(compressed, bytes):
            answer.body, answer.headers = compressed, encoded_headers(answer.headers)
        self._answer(call, answer)

    def _answer_error(self, call: _Call, error: Exception) -> None:
        if not is_foreseen(error):
            log.error(
                "request.failed",
                method=call.method,
                path=call.path,
                request_id=call.id,
                exc_info=error,
            )
        self._answer(call, answer_to(error, call.path))

    def _answer(self, call: _Call, answer: Answer) -> None:
        if call not in self._open:
            return  # it was answered already: too late
        del self._open[call]
        headers = (*ANSWER_HEADERS, *answer.headers, (b"x-request-id", call.id.encode()))
        call.request.respond(answer.status, headers, answer.body)
        seconds = perf_counter() - call.started
        count_as(call.method, call.route, answer.status, seconds)
        self._context.offload.note_answer()
        facts = {} if answer.task_id is None else {"task_id": answer.task_id}
        log_served(call.method, call.path, answer.status, seconds, request_id=call.id, **facts)

    def _call(self, request: FastRequest, method: str, route: str) -> _Call:
        return _Call(request, self._ids.of(request.headers), method, route)

    def _open_call(self, call: _Call) -> None:
        self._open[call] = None
        if self._clock is None:
            self._watch(call)

    def _watch(self, first: _Call) -> None:
        """See to it that the request which came first is answered in time."""
        left_s = first.started + self._context.limits.request_timeout_s - perf_counter()
        self._clock = asyncio.get_running_loop().call_later(max(left_s, 0), self._answer_late)

    def _answer_late(self) -> None:
        """Answer those whose time is up; what became of their tasks nobody knows yet."""
        self._clock = None
        limit_s = self._context.limits.request_timeout_s
        for call in list(self._open):
            if perf_counter() - call.started < limit_s:
                self._watch(call)
                return
            log.warning("request.late", method=call.method, path=call.path, request_id=call.id)
            late = Unavailable(_RETRY_AFTER_S, f"an answer within {limit_s:g} s")
            self._answer(call, answer_to(late, call.path))

    def _told_open(self) -> dict[tuple[str, ...], float]:
        return {(): len(self._open)}


def _outcome(later: "asyncio.Future[Result]") -> Result | Exception:
    if later.cancelled():
        return Unavailable(_RETRY_AFTER_S, "the service")
    error = later.exception()
    return later.result() if error is None else cast("Exception", error)


def _usual_host(headers: Sequence[Header]) -> bytes | None:
    """Return the `Host` of a request with usual headers, None for any other."""
    host = None
    for name, value in headers:
        if name in _LOOKED_AT:
            if name == b"host" and host is None:
                host = value
            elif name != b"content-type" or value != _JSON:
                return None
    return host
