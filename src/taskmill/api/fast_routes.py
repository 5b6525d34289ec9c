"""Creating and reading one task: the two requests that come by the thousand.

These functions are the whole of both endpoints. The framework's routes call them and document them;
`FastRoutes` calls them before the framework is asked, which costs as much again as all that they do.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Final
from uuid import UUID

from starlette.types import ASGIApp, Receive, Scope, Send

from taskmill.api.answers import JSON, Answer, task_answer
from taskmill.api.bodies import FORM_HEADERS, JSON_TYPES, Form, header_text, read_body
from taskmill.api.context import Context
from taskmill.api.holding import conditional_answer
from taskmill.api.queries import refuse_query, task_id
from taskmill.api.refusals import answer_to, is_foreseen
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
# Of the request's time: how long a held key is waited for, so that some is left to see who holds it.
_KEY_SHARE = 0.7
_LOOK_SHARE = 0.25


class FastRoutes:
    """The layer in front of the framework: it answers two paths and passes on everything else."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one of the two, or have the framework answer."""
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
            answer = await endpoint(self._context, scope, receive)
        except Exception as error:
            if not is_foreseen(error):
                raise
            answer = answer_to(error, path)
        if answer.task_id is not None:
            scope["taskmill.task_id"] = answer.task_id
        await answer.send(send)


async def create_task(context: Context, scope: Scope, receive: Receive) -> Answer:
    """Answer `POST /tasks`."""
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
    return created_answer(created, context.warning_of(draft.callback_url))


async def _draft(
    context: Context, body: bytes, key: str | None, traceparent: str | None
) -> TaskDraft:
    """Read a request to create a task, apart if that takes long."""
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


def created_answer(created: CreatedTask, warning: str | None = None) -> Answer:
    """Show a task that was just created (201), or had been before (200); `warning` is about its callback."""
    task = created.task
    shown_id = str(task.id)
    return Answer(
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
    """Pick the headers that creating looks at, in one walk."""
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
            # Several are none, as the standard says; what is empty is none, either.
            traceparent = value.decode("latin-1") if traceparent is None else ""
    return form, key, traceparent


async def _create_keyed(context: Context, draft: TaskDraft, key: str) -> CreatedTask:
    """Create with a key, which another request may hold: then wait for it, but not for ever."""
    limit_s = context.limits.request_timeout_s
    try:
        async with asyncio.timeout(limit_s * _KEY_SHARE):
            return await context.service.create(draft)
    except TimeoutError:
        if await _is_held(context, draft, limit_s * _LOOK_SHARE):
            raise KeyInFlight(key) from None
        raise Unavailable(1.0, "writing to the database") from None


async def _is_held(context: Context, draft: TaskDraft, timeout_s: float) -> bool:
    """Tell whether another request is seen to hold the key; who can't see that may not say so."""
    try:
        async with asyncio.timeout(timeout_s):
            return await context.service.is_held_by_another(draft)
    except (TimeoutError, Unavailable):
        return False


async def get_task(context: Context, scope: Scope, receive: Receive) -> Answer:
    """Answer `GET /tasks/{id}`."""
    if scope["query_string"]:
        refuse_query(scope)
    return await read_task(context, scope, receive, task_id(scope["path"][len(_PREFIX) :]))


async def read_task(context: Context, scope: Scope, receive: Receive, wanted: UUID) -> Answer:
    """Answer with the task, or that it is as the client knows it."""
    task = await context.service.get(wanted)
    for name, _ in scope["headers"]:
        if name == b"if-none-match":
            return await conditional_answer(context, scope, receive, task)
    return task_answer(task)
