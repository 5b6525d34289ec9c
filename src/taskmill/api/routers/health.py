"""Liveness, readiness and metrics, for load balancers, orchestrators and monitoring."""

from fastapi import APIRouter, Response

from taskmill.api.answers import Answer, from_problem
from taskmill.api.dependencies import InContext
from taskmill.api.openapi import refusal
from taskmill.observability import metrics
from taskmill.observability.system import system_metrics
from taskmill.wire.health import Health, Ready, ready_answer

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is it alive?", responses={500: refusal(500)})
async def get_health() -> Health:
    """Answer as long as the process can answer at all; it looks at nothing else."""
    return Health()


@router.get(
    "/readyz",
    summary="Can it serve?",
    response_model=Ready,
    responses={500: refusal(500), 503: refusal(503)},
)
async def get_readiness(context: InContext) -> Response:
    """Tell whether requests should be sent here: the database answers and has the right schema.

    The broker's state is told and changes nothing: requests are answered without it.
    """
    readiness = await context.service.readiness()
    return from_problem(ready_answer(readiness, is_stopping=context.is_stopping)).response()


@router.get(
    "/metrics",
    summary="What it has counted",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text format, version 0.0.4",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **{status: refusal(status) for status in (400, 421, 500)},
    },
)
async def get_metrics(context: InContext) -> Response:
    """Tell what this process has counted since it started, and what PostgreSQL tells of the whole system.

    Other roles tell what they have counted on their admin port. While the database is away, this answers without
    the system's figures.
    """
    figures = await context.service.figures()
    headers = ((b"content-type", metrics.CONTENT_TYPE.encode()),)
    return Answer(200, metrics.exposition(system_metrics(figures)), headers).response()
