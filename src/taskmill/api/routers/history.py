"""What happened to a task."""

from hashlib import blake2s
from typing import Annotated, Final
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from taskmill.api import cursors, queries
from taskmill.api.dependencies import InContext, TaskId
from taskmill.api.openapi import new_router, query_parameters, refusals
from taskmill.api.responses import RawResponse
from taskmill.domain.errors import BadCursor
from taskmill.wire.fields import Expected
from taskmill.wire.system import EventList, events_json

router = new_router("tasks")

_LARGEST_VERSION: Final = 2**31 - 1


class HistoryQuery(BaseModel):
    """Which part of a history to read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cursor: Annotated[str, Expected("a cursor")] | None = Field(
        default=None, description="`next_cursor` of the part before"
    )


@router.get(
    "/tasks/{id}/events",
    summary="Read a task's history",
    response_model=EventList,
    openapi_extra={"parameters": query_parameters(HistoryQuery)},
    responses=refusals(400, 404),
)
async def list_events(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """Read all that happened to a task, oldest first; a long history comes in parts."""
    query = queries.read_query(request.scope, HistoryQuery)
    listing = blake2s(id.bytes, digest_size=cursors.DIGEST_BYTES, person=b"history").digest()
    after = 0 if query.cursor is None else _position(query.cursor, listing)
    found = await context.service.reading.events(id, after=after)
    next_cursor = cursors.encode(UUID(int=found[-1].version), listing) if found.has_more else None
    return RawResponse(200, events_json(found, next_cursor)).to_starlette()


def _position(cursor: str, listing: bytes) -> int:
    """Return the version after which the cursor's page begins. Raises `BadCursor`."""
    version = cursors.decode(cursor, listing).int
    if version > _LARGEST_VERSION:
        raise BadCursor
    return version
