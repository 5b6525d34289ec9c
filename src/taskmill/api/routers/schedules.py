"""Schedules: when they would make tasks."""

from fastapi import Depends, Request, Response

from taskmill.api.authorisation import permitted_limits, shown_key
from taskmill.api.bodies import read_json_body
from taskmill.api.dependencies import InContext, refuse_query
from taskmill.api.openapi import json_body, new_router, refusals
from taskmill.api.responses import RawResponse
from taskmill.wire.preview_requests import PreviewSchedule, preview_json
from taskmill.wire.schedule_previews import SchedulePreviewView
from taskmill.wire.strict_json import parse

router = new_router("schedules", dependencies=[Depends(refuse_query)])


@router.post(
    "/schedules/preview",
    summary="Preview a schedule's ticks",
    openapi_extra={"requestBody": json_body(PreviewSchedule)},
    response_model=SchedulePreviewView,
    responses=refusals(has_body=True),
)
async def preview_schedule(request: Request, context: InContext) -> Response:
    """Show the next ticks that a schedule would have, in its zone, and the clock changes on the way.

    It takes the body that `PUT /schedules/{name}` takes, and refuses what that would refuse of it.
    Nothing is stored. Ticks have no jitter here: that depends on the schedule's name.
    """
    body = await read_json_body(request.scope, request.receive, context.limits.body_bytes)
    limits, now = (
        permitted_limits(shown_key(request.scope), context.input_limits),
        context.clock.now(),
    )
    # Rare ticks may be decades apart: 30 ms the first time that a zone is asked for (measured 2026-11-30).
    found = await context.offload.run(lambda: preview_json(parse(body), now, limits=limits))
    return RawResponse(200, found).to_starlette()
