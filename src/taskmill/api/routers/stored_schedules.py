"""Schedules: create, replace, read, pause, delete; have them make tasks by hand; what became of their ticks."""

from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2s
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from taskmill.api import cursors, queries
from taskmill.api.authorisation import (
    authorise_draft,
    owner_of,
    permitted_limits,
    schedule_guard,
    shown_key,
    shown_made,
)
from taskmill.api.conditions import IF_MATCH, if_match_versions
from taskmill.api.context import Context
from taskmill.api.dependencies import (
    InContext,
    ScheduleName,
    SmallJsonBody,
    refuse_query,
    validated_body,
)
from taskmill.api.idempotency import KEY_HEADER, idempotency_key_of
from taskmill.api.listings import LARGEST_PAGE, whole_number
from taskmill.api.openapi import (
    headers,
    json_body,
    new_router,
    query_parameters,
    refusals,
    request_header,
)
from taskmill.api.responses import JSON, RawResponse
from taskmill.api.single_tasks import created_response
from taskmill.domain.errors import BadCursor
from taskmill.domain.fires import FireOutcome, StoredSchedule
from taskmill.operations.manual_fires import BackfillRequest
from taskmill.wire.basics import etag
from taskmill.wire.fields import Expected
from taskmill.wire.schedule_requests import PutSchedule, to_schedule
from taskmill.wire.schedule_views import BackfillView, FireList, ScheduleList, ScheduleView
from taskmill.wire.schedules import (
    BackfillSchedule,
    ChangeSchedule,
    backfill_json,
    fires_json,
    schedule_json,
    schedules_json,
    to_backfill,
    to_schedule_change,
)
from taskmill.wire.tasks import TaskView

router = new_router("schedules")

_NO_QUERY: Final = [Depends(refuse_query)]
_IF_MATCH: Final = {
    "parameters": [
        request_header(IF_MATCH, "an ETag, or several: 412 unless it has the revision of one")
    ]
}
_LARGEST_ID: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_AFTER_ALL: Final = datetime(9999, 1, 1, tzinfo=UTC)
_Limit = Annotated[
    int,
    Field(ge=1, le=LARGEST_PAGE),
    BeforeValidator(whole_number),
    Expected(f"a whole number from 1 to {LARGEST_PAGE}", reveal=True),
]
_Cursor = Annotated[str, Expected("a cursor")]


class SchedulesQuery(BaseModel):
    """Which part of the schedules to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: _Limit = Field(default=50, description="schedules on a page")
    cursor: _Cursor | None = Field(default=None, description="`next_cursor` of the page before")


class FiresQuery(BaseModel):
    """Which part of what became of a schedule's ticks to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Annotated[
        list[FireOutcome], Expected(f"one of {', '.join(FireOutcome)}", reveal=True)
    ] = Field(default=[], description="only these outcomes; may be repeated")
    limit: _Limit = Field(default=50, description="entries on a page")
    cursor: _Cursor | None = Field(default=None, description="`next_cursor` of the page before")


@router.put(
    "/schedules/{name}",
    summary="Create or replace a schedule",
    response_model=ScheduleView,
    response_description="It was there, and says this now",
    openapi_extra={"requestBody": json_body(PutSchedule), **_IF_MATCH},
    responses={
        **refusals(409, 412, has_body=True),
        200: {"headers": headers("ETag")},
        201: {
            "description": "It is stored, and makes tasks from now on",
            "model": ScheduleView,
            "headers": headers("ETag"),
        },
    },
    dependencies=_NO_QUERY,
)
async def put_schedule(request: Request, context: InContext, name: ScheduleName) -> Response:
    """Have a task made at each tick from now on. A replaced schedule makes no task for ticks of the past.

    The same request again changes nothing. With `If-Match` it must be there, in that revision.
    """
    revisions = if_match_versions(request.scope)
    key = shown_key(request.scope)
    limits = permitted_limits(key, context.input_limits)
    wanted = await validated_body(request, partial(to_schedule, limits=limits))
    authorise_draft(key, wanted.draft)
    stored, is_new = await context.schedules.put(
        name,
        wanted,
        owner=owner_of(request.scope),
        revisions=revisions,
        guard=partial(schedule_guard, key),
    )
    return await _response(request, context, stored, 201 if is_new else 200)


@router.get(
    "/schedules",
    summary="List schedules",
    response_model=ScheduleList,
    openapi_extra={"parameters": query_parameters(SchedulesQuery)},
    responses=refusals(400),
)
async def list_schedules(request: Request, context: InContext) -> Response:
    """List schedules, the oldest first, page by page."""
    query = queries.read_query(request.scope, SchedulesQuery)
    listing = _digest("schedules")
    after = None if query.cursor is None else _number(query.cursor, listing)
    page = await context.schedules.page(after=after, limit=query.limit)
    next_cursor = cursors.encode(UUID(int=page[-1].id), listing) if page.has_more else None
    items = [(one, await _template(request, context, one)) for one in page]
    return RawResponse(200, schedules_json(items, next_cursor)).to_starlette()


@router.get(
    "/schedules/{name}",
    summary="Read a schedule",
    response_model=ScheduleView,
    responses={**refusals(404), 200: {"headers": headers("ETag")}},
    dependencies=_NO_QUERY,
)
async def get_schedule(request: Request, context: InContext, name: ScheduleName) -> Response:
    """Read a schedule, with its next tick."""
    return await _response(request, context, await context.schedules.get(name))


@router.patch(
    "/schedules/{name}",
    summary="Pause or resume a schedule",
    response_model=ScheduleView,
    openapi_extra={"requestBody": json_body(ChangeSchedule), **_IF_MATCH},
    responses={**refusals(404, 412, has_body=True), 200: {"headers": headers("ETag")}},
    dependencies=_NO_QUERY,
)
async def change_schedule(
    request: Request, context: InContext, name: ScheduleName, body: SmallJsonBody
) -> Response:
    """Pause a schedule, or have it go on: with its next tick, or with those that it missed."""
    revisions = if_match_versions(request.scope)
    change = to_schedule_change(body)
    if change.paused:
        changed = await context.schedules.pause(name, revisions)
    else:
        catches_up = change.catch_up is not None
        changed = await context.schedules.resume(name, revisions, catches_up=catches_up)
    return await _response(request, context, changed)


@router.delete(
    "/schedules/{name}",
    status_code=204,
    summary="Delete a schedule",
    response_class=Response,
    response_description="It makes no more tasks",
    openapi_extra=_IF_MATCH,
    responses=refusals(404, 412),
    dependencies=_NO_QUERY,
)
async def delete_schedule(request: Request, context: InContext, name: ScheduleName) -> Response:
    """Delete a schedule. Its tasks stay; a tick that is held makes none any more."""
    await context.schedules.delete(name, if_match_versions(request.scope))
    return RawResponse(204, b"", ()).to_starlette()


@router.post(
    "/schedules/{name}/run",
    status_code=201,
    summary="Make a task of a schedule now",
    response_model=TaskView,
    response_description="The task is stored, and will be run",
    openapi_extra={
        "parameters": [KEY_HEADER],
    },
    responses={
        **refusals(404, 409),
        200: {
            "description": "The key's first request had made it",
            "model": TaskView,
            "headers": headers("Location", "ETag"),
        },
        201: {"headers": headers("Location", "ETag")},
    },
    dependencies=_NO_QUERY,
)
async def run_schedule(request: Request, context: InContext, name: ScheduleName) -> Response:
    """Make a task now, whatever `overlap` says, also of a paused schedule. Its ticks stay as they are.

    Without `tasks:read` the response shows neither the payload nor the description.
    """
    key = idempotency_key_of(request.scope, context.input_limits)
    owner = owner_of(request.scope)
    created = await context.manual_fires.run(name, key, owner=owner and owner.name)
    task = await shown_made(context, request.scope, created.task)
    return created_response(task, replayed=created.replayed).to_starlette()


@router.post(
    "/schedules/{name}/backfill",
    summary="Make tasks for ticks of the past",
    response_model=BackfillView,
    openapi_extra={"requestBody": json_body(BackfillSchedule)},
    responses=refusals(404, 409, has_body=True),
    dependencies=_NO_QUERY,
)
async def backfill_schedule(
    context: InContext, name: ScheduleName, body: SmallJsonBody
) -> Response:
    """Make tasks for ticks that made none: the oldest first, as many as `most` and its owner's quotas allow.

    Ticks are those of what the schedule says now, also before it was made. A tick makes no second task, however
    often this is requested, as long as it is kept what became of it.
    """
    asked = to_backfill(body)
    wanted = BackfillRequest(
        since=asked.from_, until=asked.to, priority=asked.priority, is_dry_run=asked.dry_run
    )
    made = await context.manual_fires.backfill(name, wanted)
    shown = backfill_json(made.ticks, made.next_since, is_dry_run=asked.dry_run)
    return RawResponse(200, shown).to_starlette()


@router.get(
    "/schedules/{name}/fires",
    summary="List what became of a schedule's ticks",
    response_model=FireList,
    openapi_extra={"parameters": query_parameters(FiresQuery)},
    responses=refusals(400, 404),
)
async def list_fires(request: Request, context: InContext, name: ScheduleName) -> Response:
    """List what became of ticks, the latest first: a task, or why there is none. It is kept for 90 days.

    With `outcome` a page may be short or empty though there is a next one: each looks at up to 10,000 ticks.
    """
    query = queries.read_query(request.scope, FiresQuery, repeatable=("outcome",))
    listing = _digest("fires", name, *sorted(query.outcome))
    before = _AFTER_ALL if query.cursor is None else _moment(query.cursor, listing)
    page = await context.schedules.fires(
        name, before=before, outcomes=query.outcome, limit=query.limit
    )
    next_cursor = None
    if page.next_before is not None:
        number = (page.next_before - _EPOCH) // _MICROSECOND
        next_cursor = cursors.encode(UUID(int=number), listing)
    return RawResponse(200, fires_json(page, next_cursor)).to_starlette()


async def _response(
    request: Request, context: Context, schedule: StoredSchedule, status: int = 200
) -> Response:
    shown = schedule_json(schedule, await _template(request, context, schedule))
    tag = (b"etag", etag(schedule.revision).encode())
    return RawResponse(status, shown, (JSON, tag)).to_starlette()


async def _template(request: Request, context: Context, schedule: StoredSchedule) -> str:
    """Return a schedule's template as the caller may see it."""
    content = schedule.content
    return await context.service.masking.template(
        shown_key(request.scope), content.queue, content.type, content.task
    )


def _digest(*facts: str) -> bytes:
    return blake2s(repr(facts).encode(), digest_size=cursors.DIGEST_BYTES).digest()


def _number(cursor: str, listing: bytes) -> int:
    """Return the number in a cursor. Raises `BadCursor`."""
    found = cursors.decode(cursor, listing).int
    if found > _LARGEST_ID:
        raise BadCursor
    return found


def _moment(cursor: str, listing: bytes) -> datetime:
    """Return the tick in a cursor. Raises `BadCursor`."""
    try:
        return _EPOCH + _number(cursor, listing) * _MICROSECOND
    except OverflowError:
        raise BadCursor from None
