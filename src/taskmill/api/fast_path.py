"""The fast path: callbacks serve the usual form of the two most frequent requests, and of those for unknown paths.

A coroutine that passes through all layers costs more than the work itself. Here requests with nothing unusual are
checked as they come, join the batches of `operations`, and get their response when the batch is done. Unusual or
wrong requests go through the layers, which report what is wrong.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar, cast

from taskmill.api.authorisation import authorise_draft, permitted_limits
from taskmill.api.compression import (
    LEAST_BYTES,
    VARY,
    Compressor,
    accepts_gzip,
    encoded_headers,
)
from taskmill.api.context import Context
from taskmill.api.errors import HttpErrors
from taskmill.api.fast_calls import Call, Deadlines, Sender
from taskmill.api.long_polling import tagged_response
from taskmill.api.queries import task_id
from taskmill.api.refusals import error_response
from taskmill.api.request_record import ID_HEADER, RequestRecords
from taskmill.api.responses import RawResponse, task_response
from taskmill.api.single_tasks import KEY_SHARE, PROBE_SHARE, created_response, key_error
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.audit import RefusalReason
from taskmill.domain.errors import TaskNotFound, Unavailable
from taskmill.domain.grants import Scope
from taskmill.domain.quotas import QuotaExceeded
from taskmill.domain.rate_limits import RateLimitExceeded
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import Task, TaskDraft
from taskmill.observability.kinds import OTHER
from taskmill.operations.create import CreationFuture
from taskmill.operations.key_verification import authorization_digest
from taskmill.runtime.fast_path import FastRequest, Header
from taskmill.runtime.offload import LARGE_BYTES, Caller
from taskmill.runtime.rate_limits import REFUSAL_DELAY_S
from taskmill.wire.masking import ShownTask, plain
from taskmill.wire.rate_limits import rate_limit_headers
from taskmill.wire.strict_json import parse
from taskmill.wire.tasks import to_draft

Result = TypeVar("Result")

_COLLECTION: Final = b"/tasks"
_PREFIX: Final = b"/tasks/"
_TASK_URL_LENGTH: Final = len(_PREFIX) + 36
# Of requests for unknown paths; others than these have something unusual.
_METHODS: Final = frozenset({b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"})
_PLAIN: Final = re.compile(rb"/[\w./~-]{,199}", re.ASCII)
_RETRY_AFTER_S: Final = 1.0
_JSON: Final = b"application/json"
# Requests with one of these go through the layers.
_UNUSUAL: Final = frozenset({b"content-encoding", b"origin", b"sec-fetch-site", b"taskmill-hop"})
_CHECKED: Final = _UNUSUAL | {
    b"host",
    b"authorization",
    b"content-type",
    b"idempotency-key",
    b"if-none-match",
    b"prefer",
    b"traceparent",
    ID_HEADER,
}


class FastPath:
    """Serves `POST /tasks`, `GET /tasks/{id}` and 404s of unknown paths when they have nothing unusual."""

    def __init__(
        self,
        context: Context,
        records: RequestRecords,
        compressor: Compressor,
        *,
        errors: HttpErrors,
        is_page: Callable[[str], bool],
    ) -> None:
        self._errors = errors
        self._is_page = is_page
        self._context = context
        self._compressor = compressor
        self._records = records
        self._most_bytes = min(context.limits.body_bytes, LARGE_BYTES)
        # Calls without a response, and those of them whose keys other requests may hold.
        self._open = Deadlines(records.timeout_s, self._respond_late)
        self._keyed = Deadlines(records.timeout_s * KEY_SHARE, self._probe_key)

    def accepts(self, method: bytes, url: bytes) -> bool:
        """Return whether it may serve a request with this first line."""
        if url == _COLLECTION:
            return method == b"POST"
        return _is_read(method, url) or (method in _METHODS and self._is_unknown(url))

    def begin(self, request: FastRequest) -> bool:
        """Begin to serve a request; False when it has to go through the layers."""
        try:
            headers = _usual_headers(request.headers)
            if headers is None or not self._context.access.allows_host(headers[b"host"]):
                return False
            key = None
            if (keys := self._context.keys) is not None:
                digest = request.digest(headers.get(b"authorization", b""), authorization_digest)
                key = keys.known_by(digest, request.host)
                if key is None:
                    return False  # the layers look it up, or refuse
            return self._limited(request, headers, key)
        except Exception:  # noqa: BLE001 - the layers meet the same error, and report it
            return False

    def _limited(
        self, request: FastRequest, headers: Mapping[bytes, bytes], key: ApiKey | None
    ) -> bool:
        """Serve a request unless its sender sends too many; it counts once, here or in the layers."""
        limits, host, is_begun = self._context.rate_limits, request.host, False
        try:
            usage = limits.take(key, host)
        except RateLimitExceeded as error:
            return self._refuse(request, headers, key, error)
        sender = Sender(key, () if usage is None else rate_limit_headers(usage))
        try:
            is_begun = self._serve(request, headers, sender)
        finally:
            if not is_begun:
                limits.give_back(key, host)
        return is_begun

    def _refuse(
        self,
        request: FastRequest,
        headers: Mapping[bytes, bytes],
        key: ApiKey | None,
        error: RateLimitExceeded,
    ) -> bool:
        actor = Caller(host=request.host, key=key).origin.actor
        self._context.service.refusals.record(RefusalReason.RATE_LIMITED, actor)
        method, route = request.method.decode(), _route(request)
        call = Call(self._records, request, headers, method, route, sender=Sender(key, ()))
        self._open_call(call)
        self._respond_refused(call, error)
        return True

    def _serve(self, request: FastRequest, headers: Mapping[bytes, bytes], sender: Sender) -> bool:
        if request.url == _COLLECTION:
            return self._create(request, headers, sender)
        if _is_read(request.method, request.url):
            return self._read(request, headers, sender)
        return self._not_found(request, headers, sender)

    def _create(self, request: FastRequest, headers: Mapping[bytes, bytes], sender: Sender) -> bool:
        context, key = self._context, sender.key
        if len(request.body) > self._most_bytes:
            return False
        header_key, traceparent = headers.get(b"idempotency-key"), headers.get(b"traceparent")
        draft = to_draft(
            parse(bytes(request.body)),
            header_key=None if header_key is None else header_key.decode(),
            source="rest",
            traceparent=None if traceparent is None else traceparent.decode("latin-1"),
            limits=permitted_limits(key, context.quick_limits),
        )
        if key is not None:
            authorise_draft(key, draft)
        url = draft.callback_url
        warning = None if url is None else context.warning_of(url)
        call = Call(self._records, request, headers, "POST", "/tasks", sender=sender)
        # From here on nothing may fail: the layers would create the task again.
        future = context.service.creation.begin(draft)
        if future is None:
            return False
        self._open_call(call)
        if draft.idempotency is not None:
            call.draft = draft
            self._keyed.add(call)
        future.add_done_callback(partial(self._created, call, warning))
        return True

    def _read(self, request: FastRequest, headers: Mapping[bytes, bytes], sender: Sender) -> bool:
        if sender.key is not None and not sender.key.has(Scope.TASKS_READ):
            return False
        known_tag = headers.get(b"if-none-match")
        if known_tag is not None and b"prefer" in headers:
            return False  # a long poll
        wanted = task_id(request.url[len(_PREFIX) :].decode("ascii"))
        call = Call(self._records, request, headers, "GET", "/tasks/{id}", sender=sender)
        future = self._context.service.reading.begin(wanted)
        if future is None:
            return False
        self._open_call(call)
        future.add_done_callback(partial(self._found, call, known_tag))
        return True

    def _is_unknown(self, url: bytes) -> bool:
        """Return whether nothing is at a plain path. Clients that ask for such paths often ask for many."""
        if _PLAIN.fullmatch(url) is None:
            return False
        path = url.decode()
        return not (self._errors.has_route(path) or self._is_page(path))

    def _not_found(
        self, request: FastRequest, headers: Mapping[bytes, bytes], sender: Sender
    ) -> bool:
        call = Call(self._records, request, headers, request.method.decode(), OTHER, sender=sender)
        response = self._errors.not_found(call.method, call.path)
        self._open_call(call)
        self._respond(call, response)
        return True

    def _created(self, call: Call, warning: str | None, future: CreationFuture) -> None:
        result = _result_of(future)
        if isinstance(result, CreatedTask):
            render = partial(created_response, replayed=result.replayed, warning=warning)
            self._respond_with(call, render, result.task)
        elif isinstance(result, QuotaExceeded):
            self._respond_refused(call, result)
        else:
            self._respond_error(call, result)

    def _found(
        self, call: Call, known_tag: bytes | None, future: "asyncio.Future[Task | None]"
    ) -> None:
        result = _result_of(future)
        if isinstance(result, Task) and not _may_read(call.key, result):
            result = None
        if not isinstance(result, Task):
            self._respond_error(call, result or TaskNotFound(task_id(call.path[len(_PREFIX) :])))
        elif known_tag is None:
            self._respond_with(call, task_response, result)
        else:
            self._respond_with(call, partial(tagged_response, known_tags=(known_tag,)), result)

    def _respond_with(
        self, call: Call, render: Callable[[ShownTask], RawResponse], task: Task
    ) -> None:
        """Respond with a task; what takes long to mask is masked beside the event loop."""
        masking, key = self._context.service.masking, call.key
        shown = plain(task) if key is None else masking.shown_at_once(key, task)
        if shown is not None:
            self._render(call, render, shown)
            return
        pending = asyncio.get_running_loop().run_in_executor(None, masking.shown, key, task)
        pending.add_done_callback(
            partial(self._render, call, lambda masked: render(masked.result()))
        )

    def _probe_key(self, call: Call) -> None:
        """Find out whether another request holds the key: this one has waited for long."""
        assert call.draft is not None  # noqa: S101 - only such a request is watched
        probe = self._context.service.creation.key_holders.probe(
            call.draft, self._records.timeout_s * PROBE_SHARE
        )
        probe.add_done_callback(partial(self._key_probed, call, call.draft))

    def _key_probed(self, call: Call, draft: TaskDraft, probe: "asyncio.Task[bool]") -> None:
        assert draft.idempotency is not None  # noqa: S101 - only such a request is watched
        is_held = _result_of(probe) is True
        self._respond_error(call, key_error(draft.idempotency.key, is_held=is_held))

    def _render(self, call: Call, render: Callable[[Result], RawResponse], found: Result) -> None:
        try:
            response = render(found)
        except Exception as error:  # noqa: BLE001 - nothing else would respond
            self._respond_error(call, error)
            return
        if len(response.body) < LEAST_BYTES or call.method != "GET":
            self._respond(call, response)
        else:
            self._respond_large(call, response)

    def _respond_large(self, call: Call, response: RawResponse) -> None:
        """Respond with a body that is worth compressing."""
        response.headers = (*response.headers, VARY)
        wanted = accepts_gzip(call.request.headers)
        pending = self._compressor.begin(response.body) if wanted else None
        if pending is None:
            self._respond(call, response)
        else:
            pending.add_done_callback(partial(self._respond_compressed, call, response))

    def _respond_compressed(
        self, call: Call, response: RawResponse, pending: "asyncio.Future[bytes]"
    ) -> None:
        compressed = _result_of(pending)
        if isinstance(compressed, bytes):
            response.body, response.headers = compressed, encoded_headers(response.headers)
        self._respond(call, response)

    def _respond_refused(self, call: Call, error: Exception) -> None:
        """Respond a moment later: who is refused often tries again at once."""
        loop = asyncio.get_running_loop()
        loop.call_later(REFUSAL_DELAY_S, self._respond_error, call, error)

    def _respond_error(self, call: Call, error: Exception) -> None:
        if call in self._open:
            call.failed(error)
            self._respond(call, error_response(error, call.path))

    def _respond(self, call: Call, response: RawResponse) -> None:
        if self._open.remove(call):
            self._send(call, response)

    def _respond_late(self, call: Call) -> None:
        """Respond to a request whose time is up; whether its task exists is not known yet."""
        self._send(call, call.late())

    def _send(self, call: Call, response: RawResponse) -> None:
        if call.draft is not None:
            self._keyed.remove(call)
        headers = (*response.headers, *call.rate_headers, call.header)
        call.request.respond(response.status, headers, response.body)
        call.close()
        call.served(call.route, response.status, task_id=response.task_id)

    def _open_call(self, call: Call) -> None:
        call.open()
        self._open.add(call)


def _result_of(future: "asyncio.Future[Result]") -> Result | Exception:
    if future.cancelled():
        return Unavailable(_RETRY_AFTER_S, "the service")
    error = future.exception()
    return future.result() if error is None else cast("Exception", error)


def _may_read(key: ApiKey | None, task: Task) -> bool:
    return key is None or key.permits(Scope.TASKS_READ, queue=task.queue)


def _is_read(method: bytes, url: bytes) -> bool:
    return method == b"GET" and len(url) == _TASK_URL_LENGTH and url.startswith(_PREFIX)


def _route(request: FastRequest) -> str:
    """Return the route as documented."""
    if request.url == _COLLECTION:
        return "/tasks"
    return "/tasks/{id}" if _is_read(request.method, request.url) else OTHER


def _usual_headers(headers: Sequence[Header]) -> Mapping[bytes, bytes] | None:
    """Return those headers of a usual request that change how it is served, None for any other request."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _CHECKED:
            if name in _UNUSUAL or name in found:
                return None
            found[name] = value
    if b"host" not in found or found.get(b"content-type", _JSON) != _JSON:
        return None
    return found
