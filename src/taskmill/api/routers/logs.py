"""What the handlers of a task logged."""

from hashlib import blake2s
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from taskmill.api import cursors, queries
from taskmill.api.dependencies import InContext, TaskId
from taskmill.api.listings import whole_number
from taskmill.api.openapi import new_router, query_parameters, refusals
from taskmill.api.responses import RawResponse
from taskmill.domain.errors import BadCursor
from taskmill.domain.task_log import LineFilter, LineLevel, LinePosition
from taskmill.wire.fields import Expected
from taskmill.wire.task_log import LogPage, log_page_json

router = new_router("tasks")

LARGEST_PAGE: Final = 1000
_LARGEST_CLAIM: Final = 999_999_999
_LARGEST_NUMBER: Final = 2**31 - 1
_BITS: Final = 64


class LogQuery(BaseModel):
    """Which lines of a task to read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: (
        Annotated[
            int,
            Field(ge=1, le=_LARGEST_CLAIM),
            BeforeValidator(whole_number),
            Expected(f"a whole number from 1 to {_LARGEST_CLAIM}", reveal=True),
        ]
        | None
    ) = Field(default=None, description="only the lines of this claim")
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Expected(f"one of {', '.join(LineLevel)}", reveal=True),
    ] = Field(default="debug", description="only lines of this level and above")
    limit: Annotated[
        int,
        Field(ge=1, le=LARGEST_PAGE),
        BeforeValidator(whole_number),
        Expected(f"a whole number from 1 to {LARGEST_PAGE}", reveal=True),
    ] = Field(default=100, description="lines on a page")
    cursor: Annotated[str, Expected("a cursor")] | None = Field(
        default=None, description="`next_cursor` of an earlier response to the same query"
    )

    def filter(self) -> LineFilter:
        """Return which lines are wanted."""
        return LineFilter(claim_no=self.claim, level=LineLevel(self.level))


@router.get(
    "/tasks/{id}/logs",
    summary="Read what a task's handler logged",
    response_model=LogPage,
    openapi_extra={"parameters": query_parameters(LogQuery)},
    responses=refusals(400, 404),
)
async def list_logs(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """Read the lines that the handlers of a task logged, claim by claim, oldest first.

    `has_more` says whether there are more lines already. `next_cursor` is always present: a later request with it
    gets the lines that have come since. Lines arrive about a quarter of a second after they were written.
    """
    query = queries.read_query(request.scope, LogQuery)
    wanted = query.filter()
    listing = _digest(id, wanted)
    after = LinePosition() if query.cursor is None else _position(query.cursor, listing)
    async with context.page_limit.slot() as served:
        found = await context.service.logs.page(id, wanted, after=after, limit=query.limit)
        last = found[-1].position if found else after
        next_cursor = cursors.encode(UUID(int=last.claim_no << _BITS | last.seq), listing)
        body = log_page_json(found, next_cursor, has_more=found.has_more)
        served.size = len(body)
    return RawResponse(200, body).to_starlette()


def _digest(task_id: UUID, wanted: LineFilter) -> bytes:
    facts = (task_id.hex, wanted.claim_no, wanted.level.number)
    return blake2s(repr(facts).encode(), digest_size=cursors.DIGEST_BYTES).digest()


def _position(cursor: str, listing: bytes) -> LinePosition:
    """Return the position of a cursor. Raises `BadCursor`."""
    claim_no, seq = divmod(cursors.decode(cursor, listing).int, 1 << _BITS)
    if max(claim_no, seq) > _LARGEST_NUMBER:
        raise BadCursor
    return LinePosition(claim_no, seq)
