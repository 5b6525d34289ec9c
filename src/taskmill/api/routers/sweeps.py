"""Cancel or run again all tasks that match a filter, one bounded step per request."""

from http import HTTPStatus
from typing import Final

from fastapi import Depends, Response
from starlette.exceptions import HTTPException

from taskmill.api import sweep_cursors
from taskmill.api.context import Context
from taskmill.api.dependencies import InContext, SmallJsonBody, refuse_query
from taskmill.api.openapi import json_body, new_router, refusals
from taskmill.api.responses import RawResponse
from taskmill.domain.system import Sweep
from taskmill.wire.sweeps import (
    CancelSelection,
    RetrySelection,
    SweepView,
    sweep_json,
    to_cancel_selection,
    to_filter,
    to_plan,
    to_retry_selection,
)

router = new_router("tasks")

_NO_QUERY: Final = [Depends(refuse_query)]
_STEP: Final = "The result of this step; continue with `next_cursor`"


@router.post(
    "/tasks/cancel",
    summary="Cancel all tasks that fit",
    response_model=SweepView,
    response_description=_STEP,
    openapi_extra={"requestBody": json_body(CancelSelection)},
    responses=refusals(has_body=True),
    dependencies=_NO_QUERY,
)
async def cancel_tasks(context: InContext, body: SmallJsonBody) -> Response:
    """Cancel waiting tasks that fit the filter at once, and ask the workers of running ones to stop them.

    It works for about two seconds, oldest tasks first, then responds; continue with `next_cursor`. Tasks that
    are created later are not included. With `dry_run` it only counts, and says of which queues and types they are.
    """
    return await _sweep(context, Sweep.CANCEL, to_cancel_selection(body))


@router.post(
    "/tasks/retry",
    summary="Run all finished tasks that fit again",
    response_model=SweepView,
    response_description=_STEP,
    openapi_extra={"requestBody": json_body(RetrySelection)},
    responses=refusals(has_body=True),
    dependencies=_NO_QUERY,
)
async def retry_tasks(context: InContext, body: SmallJsonBody) -> Response:
    """Start a new run of finished tasks that fit the filter: of failed ones, unless `status` names others.

    In steps, as for cancelling. With `dry_run` it only counts, and says of which queues and types they are.
    `delay_s` and `per_second` give the tasks times at which they are due, one after the other, also from step to
    step; nothing has to keep the pace.
    """
    return await _sweep(context, Sweep.RETRY, to_retry_selection(body))


@router.get("/tasks/cancel", include_in_schema=False)
@router.get("/tasks/retry", include_in_schema=False)
async def refuse_to_read() -> Response:
    """Refuse what would otherwise read a task with such an id."""
    raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})


async def _sweep(
    context: Context, what: Sweep, selection: CancelSelection | RetrySelection
) -> Response:
    wanted, plan = to_filter(selection), to_plan(selection)
    digest = sweep_cursors.digest(what, wanted, plan)
    start, progress = None, plan.begun(context.clock.now())
    if selection.cursor is not None:
        start, progress = sweep_cursors.decode(selection.cursor, plan, digest)
    step = await context.service.sweep(
        what,
        wanted,
        start,
        dry_run=selection.dry_run,
        limit=progress.remaining,
        pace=progress.pace,
    )
    following, next_cursor, groups = progress.after(step), None, None
    if step.next_start is not None and not following.is_over:
        next_cursor = sweep_cursors.encode(step.next_start, plan, following, digest)
    if selection.dry_run and start is None:
        groups = await context.service.groups(what, wanted, limit=plan.limit)
    body = sweep_json(step, dry_run=selection.dry_run, next_cursor=next_cursor, groups=groups)
    return RawResponse(200, body).to_starlette()
