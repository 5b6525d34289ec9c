"""Liveness and readiness, for load balancers and orchestrators."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from taskmill.api.answers import from_problem
from taskmill.api.dependencies import InContext
from taskmill.api.openapi import refusal
from taskmill.wire.problems import problem_for_status

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The process can serve, and its parts are well."""

    status: Literal["ready"] = "ready"
    parts: dict[str, Literal["ok"]]


@router.get("/healthz", summary="Is it alive?", responses={500: refusal(500)})
async def healthz() -> Health:
    """Answer as long as the process can answer at all; it looks at nothing else."""
    return Health()


@router.get(
    "/readyz",
    summary="Can it serve?",
    response_model=Ready,
    responses={500: refusal(500), 503: refusal(503)},
)
async def readyz(context: InContext) -> Ready | Response:
    """Tell whether requests should be sent here: the database answers and has the right schema."""
    state = await context.service.readiness()
    troubles = {part: trouble for part, trouble in state.parts.items() if trouble is not None}
    if context.is_stopping:
        troubles["process"] = "it is stopping"
    if troubles:
        detail = "; ".join(f"{part}: {trouble}" for part, trouble in troubles.items())
        answer = from_problem(problem_for_status(503, "/readyz", detail))
        answer.headers = (*answer.headers, (b"retry-after", b"1"))
        return answer.response()
    return Ready(parts=dict.fromkeys(state.parts, "ok"))
