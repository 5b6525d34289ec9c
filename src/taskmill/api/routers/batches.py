"""Many tasks in one request: an array, all or nothing; or NDJSON, each line for itself."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, repeat
from typing import TypeAlias

from fastapi import Depends, Request, Response
from starlette.responses import StreamingResponse

from taskmill.api.authorisation import authorise_draft, permitted_limits, shown_key
from taskmill.api.bodies import BATCH_TYPES, form_of, hop_of_request, read_body, traceparent_of
from taskmill.api.context import Context
from taskmill.api.dependencies import InContext, refuse_query
from taskmill.api.openapi import HOP_HEADER, new_router, refusals, request_header
from taskmill.api.responses import RawResponse
from taskmill.api.single_tasks import IDEMPOTENCY_KEY
from taskmill.domain.api_key_errors import ScopeMissing
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.errors import InvalidInput, TaskmillError, Unavailable
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import TaskDraft
from taskmill.observability.logs import get_logger
from taskmill.operations.create import CreationFuture
from taskmill.operations.storing import BATCH_TASK_S
from taskmill.runtime.http_scope import set_deadline
from taskmill.wire.basics import LINES_MEDIA_TYPE
from taskmill.wire.batches import (
    BatchCreated,
    LineDraft,
    array_drafts,
    array_pieces,
    batch_created_json,
    is_lines,
    line_created_json,
    line_drafts,
    line_refused_json,
    parse_batch,
)
from taskmill.wire.hops import count_hop
from taskmill.wire.rules import InputLimits

log = get_logger(__name__)
router = new_router("tasks")

# Lines that are read at a time, and such chunks that are stored at once: a thousand tasks in memory.
_CHUNK = 250
_CHUNKS_AT_ONCE = 4
# Reading a batch larger than this may take ten milliseconds and would delay other requests: small tasks have 13
# bytes and take 6 us each.
_LARGE_BYTES = 16 * 1024
# Bytes of lines, or an array's tasks, that are read in one step.
_STEP_BYTES = 256 * 1024
_STEP_TASKS = 200
_PARSED_BYTES_A_S = 4 * 1024 * 1024
_RETRY_ADVICE = (
    "the batch may have been stored: send the same request again, which makes no task twice, "
    "as each has an idempotency_key"
)
_CHECK_ADVICE = (
    "the batch may have been stored, as a whole or not at all: before you send it again, look for one of "
    "its tasks with GET /tasks?created_after=...&name=...; with an idempotency_key in each task it could "
    "simply be sent again"
)
_TASK = {"$ref": "#/components/schemas/CreateTask"}
_LINES = "one task a line"
_Line: TypeAlias = tuple[int, CreationFuture | CreatedTask | Exception]

_RESPONSE_LINES = '{"line":1,"status":201,"id":"0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"}\n'


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
        "parameters": [
            request_header("traceparent", "the caller's trace (W3C), for all tasks"),
            HOP_HEADER,
        ],
    },
    responses={
        **refusals(409, has_body=True),
        200: {
            "description": "NDJSON: a line with the result of each line",
            "content": {
                LINES_MEDIA_TYPE: {"schema": {"type": "string", "examples": [_RESPONSE_LINES]}}
            },
        },
    },
    dependencies=[Depends(refuse_query)],
)
async def create_tasks(request: Request, context: InContext) -> Response:
    """Create the tasks of a JSON array in one transaction: all of them or none.

    With NDJSON each line is a task of its own, stored as it is read, up to 1,000 at once; the response has
    a line for each: its number, a status, and the id (with a `warning`, as for a single task) or the
    problem. Keys go into the tasks.
    """
    form = form_of(request.scope)
    form.check(BATCH_TYPES)
    if IDEMPOTENCY_KEY in request.headers:
        expected = "keys in the tasks of a batch, each its own"
        raise InvalidInput.at(f"header:{IDEMPOTENCY_KEY}", expected, "one for all")
    limit_bytes = context.limits.batch_bytes
    body = await read_body(request.scope, request.receive, form.content_length, limit_bytes)
    if is_lines(form.media_type):
        return await _respond_lines(context, request, body)
    created = await _create_all(context, request, body)
    warnings = (context.warning_of(one.task.callback_url) for one in created)
    return RawResponse(
        201, batch_created_json([one.task.id for one in created], warnings)
    ).to_starlette()


async def _create_all(context: Context, request: Request, body: bytes) -> list[CreatedTask]:
    """Store all, within a time limit that grows with their number.

    Raises:
        Unavailable: it is unknown whether they are stored; the error has advice on what to do.
    """
    usual_s = context.limits.request_timeout_s
    set_deadline(request.scope, usual_s + len(body) / _PARSED_BYTES_A_S)
    hop = hop_of_request(request.scope, context.input_limits.hops)
    key = shown_key(request.scope)
    limits = permitted_limits(key, context.input_limits)
    drafts = await _drafts(context, limits, body, traceparent_of(request.scope))
    if key is not None:
        for draft in drafts:
            authorise_draft(key, draft)
    for draft in drafts:
        count_hop(draft, hop)
    limit_s = round(usual_s + len(drafts) * BATCH_TASK_S, 1)
    set_deadline(request.scope, limit_s + usual_s)  # the timeout below ends before that
    try:
        async with asyncio.timeout(limit_s):
            return await context.service.creation.create_all(drafts)
    except TimeoutError:
        raise _unknown_result(f"a response within {limit_s:g} s", drafts) from None
    except Unavailable as error:
        raise _unknown_result(error.what, drafts) from error


def _unknown_result(what: str, drafts: Sequence[TaskDraft]) -> Unavailable:
    has_keys = all(draft.idempotency is not None for draft in drafts)
    return Unavailable(1.0, what, _RETRY_ADVICE if has_keys else _CHECK_ADVICE)


def _is_read_on_loop(context: Context, body: bytes) -> bool:
    """Whether the event loop reads a batch; checking even a short payload against a contract may take long."""
    return len(body) < _LARGE_BYTES and not context.input_limits.contracts


async def _drafts(
    context: Context, input_limits: InputLimits, body: bytes, traceparent: str | None
) -> list[TaskDraft]:
    steps = _array_steps(context, input_limits, body, traceparent)
    if _is_read_on_loop(context, body):
        return list(chain.from_iterable(steps))
    return [draft async for drafts in context.offload.steps(steps) for draft in drafts]


def _array_steps(
    context: Context, input_limits: InputLimits, body: bytes, traceparent: str | None
) -> Iterator[list[TaskDraft]]:
    """Yield an array's drafts in steps of some milliseconds. The first steps only read the body."""
    limits = context.limits
    items: list[object] = []
    for piece in array_pieces(body, max_items=limits.batch_items, item_bytes=limits.body_bytes):
        items += piece
        yield []
    for first in range(0, len(items), _STEP_TASKS):
        yield array_drafts(
            items[first : first + _STEP_TASKS],
            source="rest",
            traceparent=traceparent,
            limits=input_limits,
            item_bytes=limits.body_bytes,
            first=first,
        )


async def _respond_lines(context: Context, request: Request, body: bytes) -> Response:
    lines = parse_batch(LINES_MEDIA_TYPE, body, line_bytes=context.limits.body_bytes)
    assert not isinstance(lines, list)  # noqa: S101 - that is what an array gives
    hop = hop_of_request(request.scope, context.input_limits.hops)
    chunks = line_drafts(
        lines,
        source="rest",
        traceparent=traceparent_of(request.scope),
        limits=permitted_limits(shown_key(request.scope), context.input_limits),
        chunk=_CHUNK,
        chunk_bytes=_STEP_BYTES,
    )
    steps = _on_loop(chunks) if _is_read_on_loop(context, body) else context.offload.steps(chunks)
    first = await anext(steps, None)
    if first is None:
        raise InvalidInput.at("", "at least one line", "none")
    set_deadline(request.scope, None)  # each chunk has its own timeout
    if (key := shown_key(request.scope)) is not None:
        first, steps = _authorised(key, first), _all_authorised(key, steps)
    stored = _store(context, first, steps, hop)
    return StreamingResponse(stored, media_type=LINES_MEDIA_TYPE)


async def _on_loop(chunks: Iterator[list[LineDraft]]) -> AsyncIterator[list[LineDraft]]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)  # reading a chunk blocks the loop for milliseconds


def _authorised(key: ApiKey, chunk: list[LineDraft]) -> list[LineDraft]:
    """Return lines with refusals in the place of drafts that a key may not create."""
    return [_authorised_line(key, line) for line in chunk]


def _authorised_line(key: ApiKey, line: LineDraft) -> LineDraft:
    if isinstance(line.result, TaskDraft):
        try:
            authorise_draft(key, line.result)
        except ScopeMissing as error:
            return replace(line, result=error)
    return line


async def _all_authorised(
    key: ApiKey, chunks: AsyncIterator[list[LineDraft]]
) -> AsyncIterator[list[LineDraft]]:
    async for chunk in chunks:
        yield _authorised(key, chunk)


async def _store(
    context: Context, first: list[LineDraft], more: AsyncIterator[list[LineDraft]], hop: int = 0
) -> AsyncIterator[bytes]:
    """Read lines while earlier ones are being stored, and yield the results in order."""
    in_flight: deque[list[_Line]] = deque()
    chunk: list[LineDraft] | None = first
    try:
        while chunk is not None:
            in_flight.append(await _submitted(context, chunk, hop))
            if len(in_flight) == _CHUNKS_AT_ONCE:
                yield await _result_lines(context, in_flight[0])
                in_flight.popleft()
            chunk = await anext(more, None)
        while in_flight:
            yield await _result_lines(context, in_flight[0])
            in_flight.popleft()
    finally:
        # The client has gone: cancel what remains, and retrieve exceptions so that they are not logged.
        for _, result in chain.from_iterable(in_flight):
            if isinstance(result, asyncio.Future):
                _result_of(result)


async def _submitted(context: Context, chunk: Sequence[LineDraft], hop: int) -> list[_Line]:
    drafts = [line.result for line in chunk if isinstance(line.result, TaskDraft)]
    for draft in drafts:
        count_hop(draft, hop)
    try:
        async with asyncio.timeout(context.limits.request_timeout_s):
            results = iter(await context.service.creation.submit_each(drafts))
    except TimeoutError:
        results = repeat(_late(context))
    except TaskmillError as error:
        results = repeat(error)
    return [
        (line.number, next(results) if isinstance(line.result, TaskDraft) else line.result)
        for line in chunk
    ]


async def _result_lines(context: Context, lines: Sequence[_Line]) -> bytes:
    futures = [result for _, result in lines if isinstance(result, asyncio.Future)]
    await _wait(futures, context.limits.request_timeout_s)
    known = [
        (number, (_result_of(one) or _late(context)) if isinstance(one, asyncio.Future) else one)
        for number, one in lines
    ]
    # The same fault in several lines is logged once, with the first of them.
    faults = {
        repr(one): (number, one)
        for number, one in reversed(known)
        if isinstance(one, Exception) and not isinstance(one, TaskmillError)
    }
    for number, fault in faults.values():
        log.error("line.failed", line=number, exc_info=fault)
    return b"".join(_line_json(context, number, one) for number, one in known)


async def _wait(futures: Sequence[CreationFuture], timeout_s: float) -> None:
    """Wait until all are done, or the time is up.

    One after the other: a callback for each would add 0.4 to a task's 23 us (measured 2026-11-26).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            for future in futures:
                if not future.done():
                    await asyncio.wait((future,))


def _line_json(context: Context, number: int, result: CreatedTask | Exception) -> bytes:
    if isinstance(result, CreatedTask):
        status, warning = (
            200 if result.replayed else 201,
            context.warning_of(result.task.callback_url),
        )
        return line_created_json(number, status, result.task.id, warning)
    return line_refused_json(number, result)


def _result_of(future: CreationFuture) -> CreatedTask | Exception | None:
    """Return a task or an error; cancel a pending future and return None."""
    if not future.done():
        future.cancel()
    if future.cancelled():
        return None
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001 - it is the result of this line
        return error


def _late(context: Context) -> Unavailable:
    return Unavailable(1.0, f"a response within {context.limits.request_timeout_s:g} s")
