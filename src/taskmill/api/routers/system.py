"""The system's state: counts, queues and workers; changes to queues, requests to workers."""

from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from taskmill.api import queries
from taskmill.api.authorisation import authorise_keep, permits_keep, shown_key
from taskmill.api.dependencies import InContext, QueueName, SmallJsonBody, WorkerId, refuse_query
from taskmill.api.openapi import json_body, new_router, query_parameters, refusals
from taskmill.api.responses import RawResponse
from taskmill.domain.activity import ActivityRequest, Window
from taskmill.domain.errors import InvalidInput, Violation
from taskmill.domain.system import QueueState, WorkerRequest
from taskmill.operations.service import TaskService
from taskmill.wire import fields
from taskmill.wire.fields import Expected
from taskmill.wire.queues import (
    QueueChange,
    QueueList,
    QueueView,
    queue_json,
    queues_json,
    to_queue_change,
)
from taskmill.wire.system import (
    StatsView,
    WorkerList,
    WorkerView,
    stats_json,
    worker_json,
    workers_json,
)

router = new_router()

_NO_QUERY: Final = [Depends(refuse_query)]


class StatsQuery(BaseModel):
    """Over which window to report activity, and of which tasks; none without a window."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: (
        Annotated[
            Literal["5m", "15m", "1h", "6h", "24h", "7d", "30d"],
            Expected(f"one of {', '.join(Window)}", reveal=True),
        ]
        | None
    ) = Field(default=None, description="also show what happened over this window, as `activity`")
    queue: fields.Slug | None = Field(default=None, description="only what happened in this queue")
    type: fields.Slug | None = Field(default=None, description="only what happened to this type")

    def request(self) -> ActivityRequest | None:
        """Return the requested activity, if any. Raises `InvalidInput` for a filter without a window."""
        if self.window is not None:
            return ActivityRequest(window=Window(self.window), queue=self.queue, type=self.type)
        filters = {"queue": self.queue, "type": self.type}
        given = [name for name, value in filters.items() if value is not None]
        if given:
            expected = "nothing, or a window, too: it filters `activity`"
            raise InvalidInput(
                tuple(
                    Violation(pointer=f"query:{name}", expected=expected, got=f"a {name}")
                    for name in given
                )
            )
        return None


def _parse_flag(text: object) -> object:
    """Parse `true` and `false`; other spellings are refused."""
    return {"true": True, "false": False}.get(text, "") if isinstance(text, str) else text


class StopQuery(BaseModel):
    """Whether to wait for what runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when_empty: Annotated[
        bool, BeforeValidator(_parse_flag), Expected("true or false", reveal=True)
    ] = Field(default=False, description="only when it runs nothing more; until then it is quiet")


@router.get(
    "/stats",
    tags=["system"],
    summary="Count everything",
    response_model=StatsView,
    openapi_extra={"parameters": query_parameters(StatsQuery)},
    responses=refusals(),
)
async def get_stats(request: Request, context: InContext) -> Response:
    """Count tasks by queue and status, and what is there to run them.

    With a `window`, also show what happened: how often, and how long tasks waited and ran.
    """
    activity = queries.read_query(request.scope, StatsQuery).request()
    return RawResponse(200, stats_json(await context.service.stats(activity))).to_starlette()


@router.get(
    "/workers",
    tags=["system"],
    dependencies=_NO_QUERY,
    summary="List workers",
    response_model=WorkerList,
    responses=refusals(),
)
async def list_workers(context: InContext) -> Response:
    """List the workers that live, and those that ended within the last hour, latest first."""
    return RawResponse(200, workers_json(await context.service.workers())).to_starlette()


@router.post(
    "/workers/{id}/quiet",
    tags=["system"],
    dependencies=_NO_QUERY,
    status_code=202,
    summary="Ask a worker to take no more tasks",
    response_model=WorkerView,
    responses=refusals(404, 409),
)
async def quiet_worker(context: InContext, id: WorkerId) -> Response:  # noqa: A002 - as in the path
    """Ask a worker to take no more tasks; it learns of it when it renews its lease, and ends what it runs."""
    return await _set_request(context, id, WorkerRequest.QUIET)


@router.post(
    "/workers/{id}/stop",
    tags=["system"],
    status_code=202,
    summary="Ask a worker to stop",
    response_model=WorkerView,
    openapi_extra={"parameters": query_parameters(StopQuery)},
    responses=refusals(404, 409),
)
async def stop_worker(request: Request, context: InContext, id: WorkerId) -> Response:  # noqa: A002 - as in the path
    """Ask a worker to end its process, as SIGTERM does: it finishes what it can in time, and hands back the rest.

    With `when_empty` it takes no more tasks, and ends its process when it runs nothing more, however long that
    takes.
    """
    query = queries.read_query(request.scope, StopQuery)
    stop = context.service.set_worker_request(id, WorkerRequest.STOP, when_empty=query.when_empty)
    return RawResponse(202, worker_json(await stop)).to_starlette()


@router.post(
    "/workers/{id}/resume",
    tags=["system"],
    dependencies=_NO_QUERY,
    status_code=202,
    summary="Ask a quiet worker to take tasks again",
    response_model=WorkerView,
    responses=refusals(404, 409),
)
async def resume_worker(context: InContext, id: WorkerId) -> Response:  # noqa: A002 - as in the path
    """Ask a worker that was made quiet to take tasks again."""
    return await _set_request(context, id, None)


async def _set_request(
    context: InContext, lease_id: UUID, request: WorkerRequest | None
) -> Response:
    return RawResponse(
        202, worker_json(await context.service.set_worker_request(lease_id, request))
    ).to_starlette()


@router.get(
    "/queues",
    tags=["queues"],
    dependencies=_NO_QUERY,
    summary="List queues",
    response_model=QueueList,
    responses=refusals(),
)
async def list_queues(context: InContext) -> Response:
    """List all queues by name.

    A queue is made by its first task, or by hand. One that was empty for a day is removed, unless it is paused,
    has a `keep`, or the contract of a type names it. If there are very many buckets (types and priorities of a
    queue), only a part is counted: then `oldest_due_at` may be too late and `window` too low.
    """
    return RawResponse(200, queues_json(await context.service.queues())).to_starlette()


@router.patch(
    "/queues/{name}",
    tags=["queues"],
    dependencies=_NO_QUERY,
    summary="Pause or resume a queue, or change how long it keeps tasks",
    openapi_extra={"requestBody": json_body(QueueChange)},
    response_model=QueueView,
    responses=refusals(has_body=True),
)
async def change_queue(
    request: Request, context: InContext, name: QueueName, body: SmallJsonBody
) -> Response:
    """Pause a queue (it keeps its tasks and hands out none), or resume it; one that does not exist is made.

    With `keep` its ended tasks are deleted so long after their end, soon after it is set, too; null is as long as
    the settings say. It needs the scope `admin`: what is deleted can't be had back, and a long time keeps weeks of
    all queues. A few more queues may be made this way when tasks may make no more.
    """
    change = to_queue_change(body)
    if change.changes_keep:
        authorise_keep(shown_key(request.scope))
    queue = await _changed(context.service, name, change)
    return RawResponse(200, queue_json(queue)).to_starlette()


async def _changed(service: TaskService, name: str, change: QueueChange) -> QueueState:
    if not change.changes_keep:
        return await service.set_queue_paused(name, paused=bool(change.paused))
    if change.paused is not None:
        await service.set_queue_paused(name, paused=change.paused)
    return await service.set_queue_keep(name, change.keep)


@router.delete(
    "/queues/{name}",
    tags=["queues"],
    dependencies=_NO_QUERY,
    status_code=204,
    summary="Delete an empty queue",
    response_class=Response,
    response_description="It is deleted; its next task makes it again",
    responses=refusals(404, 409),
)
async def delete_queue(request: Request, context: InContext, name: QueueName) -> Response:
    """Delete a queue in which nothing waits or runs. Its ended tasks stay, with their counts.

    One that has a `keep` loses it, so that tasks may be deleted sooner: that needs the scope `admin`.
    """
    with_keep = permits_keep(shown_key(request.scope))
    await context.service.remove_queue(name, with_keep=with_keep)
    return Response(status_code=204)
