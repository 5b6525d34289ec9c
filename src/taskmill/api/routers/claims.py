"""What workers in any language report of the tasks that they run: progress, logs, and the end."""

from uuid import UUID

from fastapi import Depends, Request, Response

from taskmill.api.bodies import read_json_body
from taskmill.api.context import Context
from taskmill.api.dependencies import InContext, SmallJsonBody, TaskId, refuse_query, validated_body
from taskmill.api.openapi import json_body, new_router, refusals
from taskmill.api.responses import RawResponse
from taskmill.domain.lifecycle import Cancelled, Outcome
from taskmill.wire.claims import (
    AddLines,
    ClaimCancelled,
    ClaimEndView,
    ClaimOf,
    FailClaim,
    FinishClaim,
    ReportProgress,
    StoredLines,
    claim_end_json,
    stored_lines_json,
    to_cancelled,
    to_failure,
    to_finish,
    to_lines,
    to_progress,
)
from taskmill.wire.strict_json import parse

router = new_router("leases", dependencies=[Depends(refuse_query)])

# Room in a body for more than the result: the fence, and spacing.
_BESIDE_RESULT_BYTES = 4096


@router.post(
    "/tasks/{id}/finish",
    summary="Report that a task succeeded",
    response_model=ClaimEndView,
    openapi_extra={"requestBody": json_body(FinishClaim)},
    responses=refusals(404, 409, has_body=True),
)
async def finish_claim(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """End a claim with success; that wins over a cancel that was requested meanwhile.

    The same request sent again, as after a lost response, gets the same response. 409 when the claim is not, or no
    longer, yours: then it changes nothing.
    """
    limits = context.limits
    limit_bytes = max(limits.body_bytes, limits.result_bytes + _BESIDE_RESULT_BYTES)
    body = await read_json_body(request.scope, request.receive, limit_bytes)
    claim, outcome = await context.offload.run_if_large(
        len(body), lambda: to_finish(parse(body), result_bytes=limits.result_bytes)
    )
    return await _end_claim(context, id, claim, outcome)


@router.post(
    "/tasks/{id}/fail",
    summary="Report that a task failed",
    response_model=ClaimEndView,
    openapi_extra={"requestBody": json_body(FailClaim)},
    responses=refusals(404, 409, has_body=True),
)
async def fail_claim(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """End a claim with a failure. The response shows what follows: another attempt (`new`, `run_at`), or none.

    Sent again, and 409: as for success.
    """
    claim, outcome = await validated_body(request, to_failure)
    return await _end_claim(context, id, claim, outcome)


@router.post(
    "/tasks/{id}/cancelled",
    summary="Report that a task was stopped for a cancel",
    response_model=ClaimEndView,
    openapi_extra={"requestBody": json_body(ClaimCancelled)},
    responses=refusals(404, 409, has_body=True),
)
async def end_claim_as_cancelled(context: InContext, id: TaskId, body: SmallJsonBody) -> Response:  # noqa: A002 - as in the path
    """End a claim whose work was stopped because of `cancel` in a renewal. 409 when no cancel was requested.

    `POST /tasks/{id}/cancel` requests a cancel.
    """
    return await _end_claim(context, id, to_cancelled(body), Cancelled())


@router.post(
    "/tasks/{id}/progress",
    status_code=204,
    summary="Report how far a task has come",
    response_class=Response,
    response_description="It is stored, or already replaced by a later report",
    openapi_extra={"requestBody": json_body(ReportProgress)},
    responses=refusals(404, 409, has_body=True),
)
async def report_progress(context: InContext, id: TaskId, body: SmallJsonBody) -> Response:  # noqa: A002 - as in the path
    """Show how far an attempt has come, as the task's `progress`. It stays when the attempt ends.

    Only the latest report is stored. 409 when the claim is not, or no longer, yours: stop the work.
    """
    report = to_progress(body)
    await context.pull.report(
        id, report.lease_id, report.claim_no, share=report.share, message=report.message
    )
    return Response(status_code=204)


@router.post(
    "/tasks/{id}/logs",
    summary="Add lines to a task's log",
    response_model=StoredLines,
    openapi_extra={"requestBody": json_body(AddLines)},
    responses=refusals(404, 409, has_body=True),
)
async def add_log_lines(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """Store log lines of a running claim, with the time at which they come, for `GET /tasks/{id}/logs`.

    Lines are numbered by the worker, from 1 in each claim: sent again, as after a lost response, they are stored
    once. Lines beyond a claim's limits are left out. 409 when the claim is not, or no longer, yours.
    """
    report, lines = await validated_body(request, to_lines)
    left_out = await context.pull.log(id, report.lease_id, report.claim_no, report.first, lines)
    return RawResponse(200, stored_lines_json(left_out)).to_starlette()


async def _end_claim(context: Context, task_id: UUID, claim: ClaimOf, outcome: Outcome) -> Response:
    ended = await context.pull.end(task_id, claim.lease_id, claim.claim_no, outcome)
    shown = claim_end_json(
        task_id,
        claim.claim_no,
        event=ended.event_type,
        status=ended.status,
        reason=ended.reason,
        run_at=ended.run_at,
    )
    return RawResponse(200, shown).to_starlette()
