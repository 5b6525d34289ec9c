"""Liveness, readiness and metrics, for load balancers, orchestrators and monitoring."""

from fastapi import Response

from taskmill.api.dependencies import InContext
from taskmill.api.openapi import new_router, refusal
from taskmill.api.responses import RawResponse, problem_response
from taskmill.observability import metrics
from taskmill.observability.system import system_metrics
from taskmill.wire.health import Health, Ready, ready_response

router = new_router("health")


@router.get("/healthz", summary="Is it alive?", responses={500: refusal(500)})
async def get_health() -> Health:
    """Respond as long as the process can respond at all; nothing else is checked."""
    return Health()


@router.get(
    "/readyz",
    summary="Can it serve?",
    response_model=Ready,
    responses={500: refusal(500), 503: refusal(503)},
)
async def get_readiness(context: InContext) -> Response:
    """Report whether requests should be sent here: the database responds and has the right schema.

    The broker's state is shown but does not matter: requests are served without it.
    """
    readiness = await context.service.readiness()
    return problem_response(
        ready_response(readiness, is_stopping=context.is_stopping)
    ).to_starlette()


@router.get(
    "/metrics",
    summary="Prometheus metrics",
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
    """Return the metrics of this process, and those of the whole system from PostgreSQL.

    Other roles have their metrics on their admin port. While the database is unavailable, the system's metrics are
    left out.
    """
    figures = await context.service.figures.get()
    headers = ((b"content-type", metrics.CONTENT_TYPE.encode()),)
    return RawResponse(200, metrics.exposition(system_metrics(figures)), headers).to_starlette()
