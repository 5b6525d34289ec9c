"""The system's state: counts, queues and workers; pausing and resuming queues."""

from fastapi import APIRouter, Depends, Response

from taskmill.api.answers import Answer
from taskmill.api.dependencies import InContext, JsonBody, QueueName, refuse_query
from taskmill.api.openapi import json_body, refusals
from taskmill.wire.queues import (
    QueueChange,
    QueueList,
    QueueView,
    queue_json,
    queues_json,
    to_queue_change,
)
from taskmill.wire.system import StatsView, WorkerList, stats_json, workers_json

router = APIRouter(dependencies=[Depends(refuse_query)])


@router.get(
    "/stats",
    tags=["system"],
    summary="Count everything",
    response_model=StatsView,
    responses=refusals(),
)
async def get_stats(context: InContext) -> Response:
    """Count tasks by queue and status, and what is there to run them."""
    return Answer(200, stats_json(await context.service.stats())).response()


@router.get(
    "/workers",
    tags=["system"],
    summary="List workers",
    response_model=WorkerList,
    responses=refusals(),
)
async def list_workers(context: InContext) -> Response:
    """List the workers that live, and those that ended within the last hour, latest first."""
    return Answer(200, workers_json(await context.service.workers())).response()


@router.get(
    "/queues",
    tags=["queues"],
    summary="List queues",
    response_model=QueueList,
    responses=refusals(),
)
async def list_queues(context: InContext) -> Response:
    """List all queues by name; a queue is made by its first task."""
    return Answer(200, queues_json(await context.service.queues())).response()


@router.patch(
    "/queues/{name}",
    tags=["queues"],
    summary="Pause or resume a queue",
    openapi_extra={"requestBody": json_body(QueueChange)},
    response_model=QueueView,
    responses=refusals(404, has_body=True),
)
async def change_queue(context: InContext, name: QueueName, body: JsonBody) -> Response:
    """Pause a queue (it keeps its tasks and hands out none), or resume it."""
    change = to_queue_change(body)
    queue = await context.service.set_queue_paused(name, paused=change.paused)
    return Answer(200, queue_json(queue)).response()
