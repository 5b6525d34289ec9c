"""Many tasks in one request: an array, all or nothing; or NDJSON, each line for itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import chain

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import StreamingResponse

from taskmill.api.answers import Answer
from taskmill.api.bodies import BATCH_TYPES, form_of, read_body, traceparent_of
from taskmill.api.context import Context
from taskmill.api.dependencies import InContext, refuse_query
from taskmill.api.hot import IDEMPOTENCY_KEY
from taskmill.api.openapi import refusals, request_header
from taskmill.domain.errors import InvalidInput, TaskmillError, Unavailable
from taskmill.domain.task import TaskDraft
from taskmill.runtime.http_scope import DEADLINE
from taskmill.wire.batches import (
    LINES_MEDIA_TYPE,
    BatchCreated,
    DraftedLine,
    array_drafts,
    batch_created_json,
    is_lines,
    line_created_json,
    line_drafts,
    line_refused_json,
    parse_batch,
)

router = APIRouter(tags=["tasks"])

_CHUNK = 1_000
# From here on parsing takes milliseconds, which the other requests should not wait for.
_LARGE_BYTES = 64 * 1024
_TASK = {"$ref": "#/components/schemas/CreateTask"}
_LINES = "one task a line"
_ANSWERED_LINES = '{"line":1,"status":201,"id":"0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"}\n'


@router.post(
    "/tasks/batch",
    status_code=201,
    summary="Create many tasks",
    response_model=BatchCreated,
    response_description="All of the array are stored; their ids are in its order",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "array",
                        "items": _TASK,
                        "minItems": 1,
                        "maxItems": 10_000,
                        "examples": [[{"name": "first"}, {"name": "second", "priority": 9}]],
                    }
                },
                LINES_MEDIA_TYPE: {"schema": {"type": "string", "description": _LINES}},
            },
        },
        "parameters": [request_header("traceparent", "the caller's trace (W3C), for all tasks")],
    },
    responses={
        **refusals(409, has_body=True),
        200: {
            "description": "NDJSON: for each line one that says how it went",
            "content": {
                LINES_MEDIA_TYPE: {"schema": {"type": "string", "examples": [_ANSWERED_LINES]}}
            },
        },
    },
    dependencies=[Depends(refuse_query)],
)
async def create_tasks(request: Request, context: InContext) -> Response:
    """Create the tasks of a JSON array in one transaction: all of them or none.

    With NDJSON each line is a task for itself, stored as it is read, up to 1,000 at once; the answer has
    a line for each: its number, a status, and the id or the problem. Keys go into the tasks.
    """
    form = form_of(request.scope)
    form.check(BATCH_TYPES)
    if IDEMPOTENCY_KEY in request.headers:
        expected = "keys in the tasks of a batch, each its own"
        raise InvalidInput.at(f"header:{IDEMPOTENCY_KEY}", expected, "one for all")
    limit_bytes = context.limits.batch_bytes
    body = await read_body(request.scope, request.receive, form.content_length, limit_bytes)
    if is_lines(form.media_type):
        return _answer_lines(context, request, body)
    drafts = await _drafts(context, body, traceparent_of(request.scope))
    created = await context.service.create_all(drafts)
    return Answer(201, batch_created_json([one.task.id for one in created])).response()


async def _drafts(context: Context, body: bytes, traceparent: str | None) -> list[TaskDraft]:
    if len(body) < _LARGE_BYTES:
        return _parsed(context, body, traceparent)
    return await asyncio.to_thread(_parsed, context, body, traceparent)


def _parsed(context: Context, body: bytes, traceparent: str | None) -> list[TaskDraft]:
    limits = context.limits
    return array_drafts(
        list(parse_batch(None, body, max_items=limits.batch_items)),
        source="rest",
        traceparent=traceparent,
        limits=context.input_limits,
        item_bytes=limits.body_bytes,
    )


def _answer_lines(context: Context, request: Request, body: bytes) -> Response:
    lines = parse_batch(LINES_MEDIA_TYPE, body, line_bytes=context.limits.body_bytes)
    assert not isinstance(lines, list)  # noqa: S101 - that is what an array gives
    chunks = line_drafts(
        lines,
        source="rest",
        traceparent=traceparent_of(request.scope),
        limits=context.input_limits,
        chunk=_CHUNK,
    )
    first = next(chunks, None)
    if first is None:
        raise InvalidInput.at("", "at least one line", "none")
    deadline: asyncio.Timeout | None = request.scope.get(DEADLINE)
    if deadline is not None:
        deadline.reschedule(None)  # each chunk has its own
    stored = _store(context, chain([first], chunks))
    return StreamingResponse(stored, media_type=LINES_MEDIA_TYPE)


async def _store(context: Context, chunks: Iterator[list[DraftedLine]]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(_store_line(context, line)) for line in chunk]
        yield b"".join(answer.result() for answer in answers)


async def _store_line(context: Context, line: DraftedLine) -> bytes:
    if isinstance(line.result, TaskmillError):
        return line_refused_json(line.number, line.result)
    limit_s = context.limits.request_timeout_s
    try:
        async with asyncio.timeout(limit_s):
            created = await context.service.create(line.result)
    except TimeoutError:
        late = Unavailable(1.0, f"an answer within {limit_s:g} s")
        return line_refused_json(line.number, late)
    except TaskmillError as error:
        return line_refused_json(line.number, error)
    return line_created_json(line.number, 200 if created.replayed else 201, created.task.id)
