"""What workers in any language say of the tasks that they run: progress, logs, and the end."""

from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from taskmill.api.answers import Answer
from taskmill.api.bodies import read_json_body
from taskmill.api.context import Context
from taskmill.api.dependencies import InContext, SmallJsonBody, TaskId, fitted_body, refuse_query
from taskmill.api.openapi import json_body, refusals
from taskmill.domain.lifecycle import Cancelled, Outcome
from taskmill.wire.claims import (
    AddLines,
    ClaimCancelled,
    ClaimEndView,
    ClaimOf,
    FailClaim,
    FinishClaim,
    LinesKept,
    ReportProgress,
    claim_end_json,
    lines_kept_json,
    to_cancelled,
    to_failure,
    to_finish,
    to_lines,
    to_progress,
)
from taskmill.wire.strict_json import parse

router = APIRouter(tags=["leases"], dependencies=[Depends(refuse_query)])

# Of a body beside its result: the fence, and spacing.
_BESIDE_RESULT_BYTES = 4096


@router.post(
    "/tasks/{id}/finish",
    summary="Say that a task succeeded",
    response_model=ClaimEndView,
    openapi_extra={"requestBody": json_body(FinishClaim)},
    responses=refusals(404, 409, has_body=True),
)
async def finish_claim(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """End a claim with success; that wins over a cancel that was asked meanwhile.

    The same request sent again, as after a lost answer, is answered alike. 409 when the claim is not, or no
    longer, yours: then it changes nothing.
    """
    limits = context.limits
    limit_bytes = max(limits.body_bytes, limits.result_bytes + _BESIDE_RESULT_BYTES)
    body = await read_json_body(request.scope, request.receive, limit_bytes)
    claim, outcome = await context.offload.run_if_large(
        len(body), lambda: to_finish(parse(body), result_bytes=limits.result_bytes)
    )
    return await _ended(context, id, claim, outcome)


@router.post(
    "/tasks/{id}/fail",
    summary="Say that a task failed",
    response_model=ClaimEndView,
    openapi_extra={"requestBody": json_body(FailClaim)},
    responses=refusals(404, 409, has_body=True),
)
async def fail_claim(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """End a claim with a failure. The answer tells what follows: another attempt (`new`, with `run_at`), or none.

    Sent again, and 409: as for success.
    """
    claim, outcome = await fitted_body(request, to_failure)
    return await _ended(context, id, claim, outcome)


@router.post(
    "/tasks/{id}/cancelled",
    summary="Say that a task was stopped for a cancel",
    response_model=ClaimEndView,
    openapi_extra={"requestBody": json_body(ClaimCancelled)},
    responses=refusals(404, 409, has_body=True),
)
async def end_claim_as_cancelled(context: InContext, id: TaskId, body: SmallJsonBody) -> Response:  # noqa: A002 - as in the path
    """End a claim whose work was stopped because a renewal told to. 409 when nobody had asked to cancel the task.

    To ask for a cancel is `POST /tasks/{id}/cancel`.
    """
    return await _ended(context, id, to_cancelled(body), Cancelled())


@router.post(
    "/tasks/{id}/progress",
    status_code=204,
    summary="Say how far a task has come",
    response_class=Response,
    response_description="It is kept, or already replaced by a later report",
    openapi_extra={"requestBody": json_body(ReportProgress)},
    responses=refusals(404, 409, has_body=True),
)
async def report_progress(context: InContext, id: TaskId, body: SmallJsonBody) -> Response:  # noqa: A002 - as in the path
    """Show how far an attempt has come, as the task's `progress`. It stays when the attempt ends.

    Only the latest report is kept. 409 when the claim is not, or no longer, yours: stop the work.
    """
    said = to_progress(body)
    await context.pull.report(
        id, said.lease_id, said.claim_no, share=said.share, message=said.message
    )
    return Response(status_code=204)


@router.post(
    "/tasks/{id}/logs",
    summary="Add to what a task logs",
    response_model=LinesKept,
    openapi_extra={"requestBody": json_body(AddLines)},
    responses=refusals(404, 409, has_body=True),
)
async def add_log_lines(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """Keep lines of a claim that runs, as `GET /tasks/{id}/logs` shows them, at the time at which they come.

    Lines are numbered by the worker, from 1 in each claim: sent again, as after a lost answer, they are kept once.
    What is beyond a claim's bounds is left out. 409 when the claim is not, or no longer, yours.
    """
    said, lines = await fitted_body(request, to_lines)
    left_out = await context.pull.log(id, said.lease_id, said.claim_no, said.first, lines)
    return Answer(200, lines_kept_json(left_out)).response()


async def _ended(context: Context, task_id: UUID, claim: ClaimOf, outcome: Outcome) -> Response:
    ended = await context.pull.end(task_id, claim.lease_id, claim.claim_no, outcome)
    shown = claim_end_json(
        task_id,
        claim.claim_no,
        event=ended.event_type,
        status=ended.status,
        reason=ended.reason,
        run_at=ended.run_at,
    )
    return Answer(200, shown).response()
