"""Explanations: why a task is where it is."""

from fastapi import Depends, Response

from taskmill.api.dependencies import InContext, TaskId, refuse_query
from taskmill.api.openapi import new_router, refusals
from taskmill.api.responses import RawResponse
from taskmill.wire.explanations import ExplanationView, explanation_json

router = new_router("tasks", dependencies=[Depends(refuse_query)])


@router.get(
    "/tasks/{id}/explain",
    summary="Explain where a task is",
    response_model=ExplanationView,
    responses=refusals(404),
)
async def explain_task(context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """Explain why a task is where it is: every blocker, whether it holds, the fact behind it, and what to do.

    All facts are of one moment. How many tasks go first, and how long that takes, is an estimate.
    """
    return RawResponse(200, explanation_json(await context.service.explain(id))).to_starlette()
