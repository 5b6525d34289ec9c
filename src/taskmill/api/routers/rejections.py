"""Refused messages: list, read, send again."""

from typing import Annotated, Final

from fastapi import Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from taskmill.api import cursors, queries, single_tasks
from taskmill.api.authorisation import permits_secrets, shown_key, shown_task
from taskmill.api.dependencies import InContext, RejectionId, refuse_query
from taskmill.api.listings import LARGEST_PAGE, whole_number
from taskmill.api.openapi import headers, new_router, query_parameters, refusals
from taskmill.api.responses import RawResponse
from taskmill.wire.fields import Expected
from taskmill.wire.rejections import (
    RejectionList,
    RejectionView,
    rejection_json,
    rejections_json,
)
from taskmill.wire.tasks import TaskView

router = new_router("rejections")

_NO_QUERY: Final = [Depends(refuse_query)]
_DIGEST: Final = b"refused."


class RejectionQuery(BaseModel):
    """Which part of the refused messages to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[
        int,
        Field(ge=1, le=LARGEST_PAGE),
        BeforeValidator(whole_number),
        Expected(f"a whole number from 1 to {LARGEST_PAGE}", reveal=True),
    ] = Field(default=50, description="messages on a page")
    cursor: Annotated[str, Expected("a cursor")] | None = Field(
        default=None, description="`next_cursor` of the page before"
    )


@router.get(
    "/rejections",
    summary="List refused messages",
    response_model=RejectionList,
    openapi_extra={"parameters": query_parameters(RejectionQuery)},
    responses=refusals(400),
)
async def list_rejections(request: Request, context: InContext) -> Response:
    """List messages that came in by a broker and were refused, newest first, without their bodies."""
    query = queries.read_query(request.scope, RejectionQuery)
    before = None if query.cursor is None else cursors.decode(query.cursor, _DIGEST)
    page = await context.service.rejections.page(before=before, limit=query.limit)
    next_cursor = cursors.encode(page[-1].id, _DIGEST) if page.has_more else None
    return RawResponse(200, rejections_json(page, next_cursor)).to_starlette()


@router.get(
    "/rejections/{id}",
    summary="Read a refused message",
    response_model=RejectionView,
    responses=refusals(404),
    dependencies=_NO_QUERY,
)
async def get_rejection(request: Request, context: InContext, id: RejectionId) -> Response:  # noqa: A002 - as in the path
    """Read a refused message with its body as it came, and why it was refused."""
    found = await context.service.rejections.get(id)
    may_read = permits_secrets(shown_key(request.scope), found.summary.queue)
    return RawResponse(200, rejection_json(found, is_masked=not may_read)).to_starlette()


@router.post(
    "/rejections/{id}/resend",
    status_code=201,
    summary="Send a refused message again",
    response_model=TaskView,
    response_description="It is a task now",
    responses={
        **refusals(400, 404, 409, 413),
        200: {
            "description": "It had become this task before",
            "model": TaskView,
            "headers": headers("Location", "ETag"),
        },
        201: {"headers": headers("Location", "ETag")},
    },
    dependencies=_NO_QUERY,
)
async def resend_rejection(request: Request, context: InContext, id: RejectionId) -> Response:  # noqa: A002 - as in the path
    """Validate a refused message again: it may be accepted now, for instance because a limit was raised.

    It becomes one task, however often it is sent again. When it is refused again, the problem has the reason.
    """
    created = await context.service.rejections.resend(id)
    task = await shown_task(context, request.scope, created.task)
    return single_tasks.created_response(task, replayed=created.replayed).to_starlette()
