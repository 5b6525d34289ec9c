"""Creating and reading one task: the two most frequent requests.

These functions are the whole of both endpoints. The framework's routes call and document them. `FastRoutes` calls
them without the framework, whose share would double the cost.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Final
from uuid import UUID

from starlette.types import ASGIApp, Receive, Scope, Send

from taskmill.api.bodies import FORM_HEADERS, JSON_TYPES, Form, header_text, read_body
from taskmill.api.context import Context
from taskmill.api.long_polling import conditional_response
from taskmill.api.queries import refuse_query, task_id
from taskmill.api.refusals import error_response, is_expected
from taskmill.api.responses import JSON, RawResponse, task_response
from taskmill.domain.errors import InvalidInput, KeyInFlight, Unavailable
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import TaskDraft
from taskmill.runtime.http_scope import ROUTE
from taskmill.runtime.offload import LARGE_BYTES
from taskmill.wire.contracts.checking import TakesLong
from taskmill.wire.rules import InputLimits
from taskmill.wire.strict_json import parse
from taskmill.wire.tasks import created_json, task_etag, to_draft

IDEMPOTENCY_KEY: Final = "Idempotency-Key"

_COLLECTION = "/tasks"
_PREFIX = "/tasks/"
_ONE_TASK = "/tasks/{id}"
_TASK_PATH_LENGTH = len(_PREFIX) + 36
# Shares of the request's time: to wait for a held key, and then to check who holds it.
_KEY_SHARE = 0.7
_CHECK_SHARE = 0.25


class FastRoutes:
    """The layer in front of the framework: it serves two paths and passes on everything else."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one of the two, or pass the request to the framework."""
        path: str = scope["path"]
        method = scope["method"]
        if path == _COLLECTION and method == "POST":
            endpoint, route = create_task, _COLLECTION
        elif method == "GET" and len(path) == _TASK_PATH_LENGTH and path.startswith(_PREFIX):
            endpoint, route = get_task, _ONE_TASK
        else:
            await self._app(scope, receive, send)
            return
        scope[ROUTE] = route
        try:
            response = await endpoint(self._context, scope, receive)
        except Exception as error:
            if not is_expected(error):
                raise
            response = error_response(error, path)
        if response.task_id is not None:
            scope["taskmill.task_id"] = response.task_id
        await response.send(send)


async def create_task(context: Context, scope: Scope, receive: Receive) -> RawResponse:
    """Serve `POST /tasks`."""
    if scope["query_string"]:
        refuse_query(scope)
    form, key, traceparent = _headers(scope)
    form.check(JSON_TYPES)
    body = await read_body(scope, receive, form.content_length, context.limits.body_bytes)
    draft = await _draft(context, body, key, traceparent)
    if draft.idempotency is None:
        created = await context.service.create(draft)
    else:
        created = await _create_keyed(context, draft, draft.idempotency.key)
    return created_response(created, context.warning_of(draft.callback_url))


async def _draft(
    context: Context, body: bytes, key: str | None, traceparent: str | None
) -> TaskDraft:
    """Read a request to create a task; on the offload thread if that takes long."""
    read = partial(_read_draft, body, key, traceparent)
    if len(body) <= LARGE_BYTES:
        with suppress(TakesLong):
            return read(context.quick_limits)
    return await context.offload.run(partial(read, context.input_limits))


def _read_draft(
    body: bytes, key: str | None, traceparent: str | None, limits: InputLimits
) -> TaskDraft:
    return to_draft(
        parse(body), header_key=key, source="rest", traceparent=traceparent, limits=limits
    )


def created_response(created: CreatedTask, warning: str | None = None) -> RawResponse:
    """Respond with a new task (201), or one that existed before (200); `warning` is about its callback."""
    task = created.task
    shown_id = str(task.id)
    return RawResponse(
        200 if created.replayed else 201,
        created_json(task, warning),
        (
            JSON,
            (b"location", f"/tasks/{shown_id}".encode()),
            (b"etag", task_etag(task).encode()),
        ),
        shown_id,
    )


def _headers(scope: Scope) -> tuple[Form, str | None, str | None]:
    """Return the headers that matter for creating, in one pass."""
    form = Form()
    key: str | None = None
    traceparent: str | None = None
    for name, value in scope["headers"]:
        if name in FORM_HEADERS:
            setattr(form, FORM_HEADERS[name], value)
        elif name == b"idempotency-key":
            if key is not None:
                raise InvalidInput.at(f"header:{IDEMPOTENCY_KEY}", "one key", "several")
            key = header_text(IDEMPOTENCY_KEY, value)
        elif name == b"traceparent":
            # A repeated header counts as none, as the standard says; "" does, too.
            traceparent = value.decode("latin-1") if traceparent is None else ""
    return form, key, traceparent


async def _create_keyed(context: Context, draft: TaskDraft, key: str) -> CreatedTask:
    """Create with a key. If another request holds it, wait for that, within limits."""
    limit_s = context.limits.request_timeout_s
    try:
        async with asyncio.timeout(limit_s * _KEY_SHARE):
            return await context.service.create(draft)
    except TimeoutError:
        if await _is_held(context, draft, limit_s * _CHECK_SHARE):
            raise KeyInFlight(key) from None
        raise Unavailable(1.0, "writing to the database") from None


async def _is_held(context: Context, draft: TaskDraft, timeout_s: float) -> bool:
    """Return whether another request is known to hold the key; False when that can't be found out."""
    try:
        async with asyncio.timeout(timeout_s):
            return await context.service.is_held_by_another(draft)
    except (TimeoutError, Unavailable):
        return False


async def get_task(context: Context, scope: Scope, receive: Receive) -> RawResponse:
    """Serve `GET /tasks/{id}`."""
    if scope["query_string"]:
        refuse_query(scope)
    return await read_task(context, scope, receive, task_id(scope["path"][len(_PREFIX) :]))


async def read_task(context: Context, scope: Scope, receive: Receive, wanted: UUID) -> RawResponse:
    """Respond with the task, or 304 when the client has this version."""
    task = await context.service.get(wanted)
    for name, _ in scope["headers"]:
        if name == b"if-none-match":
            return await conditional_response(context, scope, receive, task)
    return task_response(task)
