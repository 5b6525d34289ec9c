"""The audit log: list what operators asked for."""

from hashlib import blake2s
from typing import Annotated, Final

from fastapi import Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from taskmill.api import cursors, queries
from taskmill.api.dependencies import InContext
from taskmill.api.listings import LARGEST_PAGE, QueryTime, whole_number
from taskmill.api.openapi import new_router, query_parameters, refusals
from taskmill.api.responses import RawResponse
from taskmill.domain.audit import AuditAction, AuditFilter
from taskmill.wire.audit import AuditEntryList, audit_entries_json
from taskmill.wire.basics import format_timestamp
from taskmill.wire.fields import Expected

router = new_router("audit")

_LONGEST_FILTER: Final = 200
FilterText = Annotated[
    str,
    Field(min_length=1, max_length=_LONGEST_FILTER),
    Expected(f"a text of 1 to {_LONGEST_FILTER} characters"),
]

# No schema of a response names it: an entry's action may be one of a later release.
_Action = Annotated[
    AuditAction,
    Expected(f"one of {', '.join(AuditAction)}", reveal=True),
    WithJsonSchema({"type": "string", "enum": list(AuditAction)}),
]


class AuditQuery(BaseModel):
    """Which part of the audit log to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: _Action | None = Field(default=None, description="only this action")
    actor: FilterText | None = Field(
        default=None, description="only by this one: the name of a key or user, or an address"
    )
    target: FilterText | None = Field(
        default=None, description="only what was about this: a queue's name, a task's id, …"
    )
    since: QueryTime | None = Field(default=None, description="from this time on")
    until: QueryTime | None = Field(default=None, description="up to, without, this time")
    limit: Annotated[
        int,
        Field(ge=1, le=LARGEST_PAGE),
        BeforeValidator(whole_number),
        Expected(f"a whole number from 1 to {LARGEST_PAGE}", reveal=True),
    ] = Field(default=50, description="entries on a page")
    cursor: Annotated[str, Expected("a cursor")] | None = Field(
        default=None, description="`next_cursor` of the page before"
    )

    def filter(self) -> AuditFilter:
        """Return which entries are wanted."""
        return AuditFilter(
            action=self.action,
            actor=self.actor,
            target=self.target,
            since=self.since,
            until=self.until,
        )


@router.get(
    "/audit",
    summary="List what operators asked for",
    response_model=AuditEntryList,
    openapi_extra={"parameters": query_parameters(AuditQuery)},
    responses=refusals(400),
)
async def list_audit_entries(request: Request, context: InContext) -> Response:
    """List cancels, retries, pauses and all other actions of operators, newest first: who, what, and the outcome.

    Each is written before it is done. Clients that were refused for reasons of access are counted, and written
    once a minute (`access.refuse`). Creating, running and ending tasks is in the history of each task instead.
    """
    query = queries.read_query(request.scope, AuditQuery)
    wanted = query.filter()
    listing = _digest(wanted)
    before = None if query.cursor is None else cursors.decode(query.cursor, listing)
    page = await context.service.audit.page(wanted, before=before, limit=query.limit)
    next_cursor = cursors.encode(page[-1].id, listing) if page.has_more else None
    return RawResponse(200, audit_entries_json(page, next_cursor)).to_starlette()


def _digest(wanted: AuditFilter) -> bytes:
    times = [time and format_timestamp(time) for time in (wanted.since, wanted.until)]
    facts = ("audit", wanted.action, wanted.actor, wanted.target, times)
    return blake2s(repr(facts).encode(), digest_size=cursors.DIGEST_BYTES).digest()
