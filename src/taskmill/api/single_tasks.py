"""Creating and reading one task, as the framework's routes do it; `fast_path` does the same without coroutines."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Final
from uuid import UUID

from starlette.types import Receive, Scope

from taskmill.api.authorisation import (
    authorise_draft,
    permitted_limits,
    shown_key,
    shown_task,
)
from taskmill.api.bodies import (
    FORM_HEADERS,
    JSON_TYPES,
    Form,
    header_text,
    hop_of_request,
    read_body,
)
from taskmill.api.context import Context
from taskmill.api.long_polling import conditional_response
from taskmill.api.queries import refuse_query
from taskmill.api.responses import JSON, RawResponse, task_response
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.errors import InvalidInput, KeyInFlight, Unavailable
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import TaskDraft
from taskmill.runtime.http_scope import TASK_ID
from taskmill.runtime.offload import LARGE_BYTES
from taskmill.wire.contracts.checking import TakesLong
from taskmill.wire.first_fields import parse_request
from taskmill.wire.hops import count_hop
from taskmill.wire.masking import ShownTask
from taskmill.wire.rules import InputLimits
from taskmill.wire.tasks import created_json, task_etag, to_draft

IDEMPOTENCY_KEY: Final = "Idempotency-Key"

KEY_SHARE: Final = 0.7
"""The share of a request's time in which it waits for a key that may be held."""

PROBE_SHARE: Final = 0.25
"""The share of a request's time to find out then who holds the key."""


async def create_task(context: Context, scope: Scope, receive: Receive) -> RawResponse:
    """Serve `POST /tasks`."""
    if scope["query_string"]:
        refuse_query(scope)
    form, key, traceparent = _headers(scope)
    hop = hop_of_request(scope, context.input_limits.hops)
    form.check(JSON_TYPES)
    body = await read_body(scope, receive, form.content_length, context.limits.body_bytes)
    draft = await _draft(context, shown_key(scope), body, key, traceparent)
    authorise_draft(shown_key(scope), draft)
    count_hop(draft, hop)
    created = await _create(context, draft)
    task = await shown_task(context, scope, created.task)
    warning = context.warning_of(draft.callback_url)
    response = created_response(task, replayed=created.replayed, warning=warning)
    scope[TASK_ID] = response.task_id
    return response


async def _draft(
    context: Context, shown: ApiKey | None, body: bytes, key: str | None, traceparent: str | None
) -> TaskDraft:
    """Read a request to create a task; on the offload thread if that takes long."""
    read = partial(_read_draft, body, key, traceparent)
    if len(body) <= LARGE_BYTES:
        with suppress(TakesLong):
            return read(permitted_limits(shown, context.quick_limits))
    return await context.offload.run(partial(read, permitted_limits(shown, context.input_limits)))


def _read_draft(
    body: bytes, key: str | None, traceparent: str | None, limits: InputLimits
) -> TaskDraft:
    return to_draft(
        parse_request(body), header_key=key, source="rest", traceparent=traceparent, limits=limits
    )


def created_response(task: ShownTask, *, replayed: bool, warning: str | None = None) -> RawResponse:
    """Respond with a new task (201), or one that existed before (200); `warning` is about its callback."""
    shown_id = str(task.id)
    return RawResponse(
        200 if replayed else 201,
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


async def _create(context: Context, draft: TaskDraft) -> CreatedTask:
    """Create a task. If another request holds its key, wait for that, within limits."""
    if draft.idempotency is None:
        return await context.service.creation.create(draft)
    limit_s = context.limits.request_timeout_s
    try:
        async with asyncio.timeout(limit_s * KEY_SHARE):
            return await context.service.creation.create(draft)
    except TimeoutError:
        is_held = await context.service.creation.key_holders.probe(draft, limit_s * PROBE_SHARE)
        raise key_error(draft.idempotency.key, is_held=is_held) from None


def key_error(key: str, *, is_held: bool) -> KeyInFlight | Unavailable:
    """Return why a request with a key was not stored in time: another request holds it, or nothing is written."""
    return KeyInFlight(key) if is_held else Unavailable(1.0, "writing to the database")


async def read_task(context: Context, scope: Scope, receive: Receive, wanted: UUID) -> RawResponse:
    """Respond with the task, or 304 when the client has this version."""
    if scope["query_string"]:
        refuse_query(scope)
    task = await context.service.reading.get(wanted)
    for name, _ in scope["headers"]:
        if name == b"if-none-match":
            return await conditional_response(context, scope, receive, task)
    return task_response(await shown_task(context, scope, task))
