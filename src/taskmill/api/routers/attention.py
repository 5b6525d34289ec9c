"""What needs attention, and who has seen to it."""

from fastapi import Depends, Response

from taskmill.api.dependencies import InContext, NoticeId, SmallJsonBody, refuse_query
from taskmill.api.openapi import json_body, new_router, refusals
from taskmill.api.responses import RawResponse
from taskmill.wire.attention import (
    AttentionView,
    NoticeChange,
    NoticeView,
    attention_json,
    notice_json,
    to_notice_change,
)

router = new_router("system")


@router.get(
    "/attention",
    dependencies=[Depends(refuse_query)],
    summary="List what needs attention",
    response_model=AttentionView,
    responses=refusals(),
)
async def get_attention(context: InContext) -> Response:
    """List what needs attention, the worst first: the verdict that the overview and `taskmill top` show.

    With a key for some queues it is what concerns these. No more than 20 of a kind are listed one by one.
    """
    found = await context.service.attention.read()
    return RawResponse(200, attention_json(found)).to_starlette()


@router.patch(
    "/attention/{id}",
    dependencies=[Depends(refuse_query)],
    summary="Acknowledge or silence a notice",
    openapi_extra={"requestBody": json_body(NoticeChange)},
    response_model=NoticeView,
    responses=refusals(404, has_body=True),
)
async def change_notice(context: InContext, id: NoticeId, body: SmallJsonBody) -> Response:  # noqa: A002 - as in the path
    """Acknowledge a notice until it ends, silence it for an hour, or let it count again.

    Who did it, when and why is shown with it. With a key for some queues only notices about these can be changed.
    """
    change = to_notice_change(body)
    found = await context.service.attention.mark(id, change.mark, note=change.note)
    return RawResponse(200, notice_json(found)).to_starlette()
