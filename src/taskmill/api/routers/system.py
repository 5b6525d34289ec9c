"""The system's state: counts, queues and workers; pausing and resuming queues."""

from fastapi import APIRouter, Depends

from taskmill.api.dependencies import InContext, JsonBody, QueueName, refuse_query
from taskmill.api.openapi import json_body, refusals
from taskmill.api.shapes import queue_view, stats_view, worker_view
from taskmill.wire.queues import QueueChange, QueueList, QueueView, to_queue_change
from taskmill.wire.system import StatsView, WorkerList

router = APIRouter(dependencies=[Depends(refuse_query)])


@router.get("/stats", tags=["system"], summary="Count everything", responses=refusals())
async def get_stats(context: InContext) -> StatsView:
    """Count tasks by queue and status, and what is there to run them."""
    return stats_view(await context.service.stats())


@router.get("/workers", tags=["system"], summary="List workers", responses=refusals())
async def list_workers(context: InContext) -> WorkerList:
    """List the workers that live, and those that ended within the last hour, latest first."""
    return WorkerList(items=[worker_view(worker) for worker in await context.service.workers()])


@router.get("/queues", tags=["queues"], summary="List queues", responses=refusals())
async def list_queues(context: InContext) -> QueueList:
    """List all queues by name; a queue is made by its first task."""
    return QueueList(items=[queue_view(queue) for queue in await context.service.queues()])


@router.patch(
    "/queues/{name}",
    tags=["queues"],
    summary="Pause or resume a queue",
    openapi_extra={"requestBody": json_body(QueueChange)},
    responses=refusals(404, has_body=True),
)
async def change_queue(context: InContext, name: QueueName, body: JsonBody) -> QueueView:
    """Pause a queue (it keeps its tasks and hands out none), or resume it."""
    change = to_queue_change(body)
    return queue_view(await context.service.set_queue_paused(name, paused=change.paused))
