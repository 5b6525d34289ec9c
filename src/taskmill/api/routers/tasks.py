"""Tasks: create, read, list, reschedule, cancel and retry."""

from http import HTTPStatus
from typing import Final

from fastapi import Depends, Request, Response
from starlette.exceptions import HTTPException

from taskmill.api import single_tasks
from taskmill.api.authorisation import authorise_move, owner_of, shown_key, shown_task
from taskmill.api.conditions import IF_MATCH, if_match_versions
from taskmill.api.dependencies import InContext, Listing, SmallJsonBody, TaskId, refuse_query
from taskmill.api.listings import page_pieces, page_response
from taskmill.api.long_polling import PREFER
from taskmill.api.openapi import (
    HOP_HEADER,
    KEY_TEXT,
    LISTING_PARAMETERS,
    headers,
    json_body,
    new_router,
    refusals,
    request_header,
)
from taskmill.api.responses import task_response
from taskmill.domain.system import CancelResult
from taskmill.wire.rescheduling import RescheduleTask, to_rescheduling
from taskmill.wire.tasks import CreatedTaskView, CreateTask, TaskList, TaskView

router = new_router("tasks")

_NO_QUERY = [Depends(refuse_query)]
_IF_MATCH: Final = {
    "parameters": [
        request_header(
            IF_MATCH,
            "an ETag, or several: 412 unless the task has the version of one; progress does not count",
        )
    ]
}


@router.post(
    "/tasks",
    status_code=201,
    summary="Create a task",
    response_model=CreatedTaskView,
    response_description="It is stored, and will be run",
    openapi_extra={
        "requestBody": json_body(CreateTask),
        "parameters": [
            request_header(
                single_tasks.IDEMPOTENCY_KEY,
                "requests with the same key are one; or `idempotency_key` in the body",
                **KEY_TEXT,
            ),
            request_header("traceparent", "the caller's trace (W3C)"),
            HOP_HEADER,
        ],
    },
    responses={
        **refusals(409, has_body=True),
        200: {
            "description": "The key's first request had created it",
            "model": CreatedTaskView,
            "headers": headers("Location", "ETag"),
        },
        201: {"headers": headers("Location", "ETag")},
    },
)
async def create_task(request: Request, context: InContext) -> Response:
    """Store a task; the response comes when it is committed, and from then on nothing loses it.

    With an idempotency key the same request may be sent again: the response is 200 with the same task. The
    same key with another body is refused.
    """
    return (await single_tasks.create_task(context, request.scope, request.receive)).to_starlette()


@router.get(
    "/tasks",
    summary="List tasks",
    response_model=TaskList,
    openapi_extra={"parameters": LISTING_PARAMETERS},
    responses={**refusals(), 200: {"headers": headers("Link")}},
)
async def list_tasks(request: Request, context: InContext, query: Listing) -> Response:
    """List tasks, newest first, page by page.

    `total` is exact; when there are more than 2,000 that no counter counts, or counting would take too long, it
    is null, and `total_at_least` says how many there are at least. A page may be short and still have a next one:
    it ends with the task that brings it to 8 MiB, and a filter by name that no index helps searches for 2 s. It
    is empty while there are more only if nothing was found within 4 s.
    """
    wanted = query.filter()
    async with context.page_limit.slot() as served:
        page = await context.service.page(wanted, query.page_request(wanted))
        items = await context.service.masking.show_all(shown_key(request.scope), page.items)
        body = await served.joined(page_pieces(query, wanted, page, items))
    return page_response(query, wanted, page, body).to_starlette()


@router.get("/tasks/batch", include_in_schema=False)
async def refuse_to_read_a_batch() -> Response:
    """Refuse what would otherwise read a task with the id `batch`."""
    raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})


@router.get(
    "/tasks/{id}",
    summary="Read a task",
    response_model=TaskView,
    openapi_extra={
        "parameters": [
            request_header("If-None-Match", "an ETag: 304 while the task has that version"),
            request_header(
                PREFER,
                "`wait=30`: waits up to so many seconds for another version than that in If-None-Match",
            ),
        ]
    },
    responses={
        **refusals(404),
        200: {"headers": headers("ETag", "Preference-Applied")},
        304: {
            "description": "It has not changed",
            "headers": headers("ETag", "Preference-Applied"),
        },
    },
)
async def get_task(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """Read a task as it was committed after the request came.

    With `If-None-Match` and `Prefer: wait=30` the response comes as soon as the task has another version, or as
    304 when the time is up; `Preference-Applied: wait` says that it waited.
    """
    return (
        await single_tasks.read_task(context, request.scope, request.receive, id)
    ).to_starlette()


@router.patch(
    "/tasks/{id}",
    summary="Reschedule a waiting task",
    response_model=TaskView,
    response_description="It waits as it is shown",
    openapi_extra={"requestBody": json_body(RescheduleTask), **_IF_MATCH},
    responses={**refusals(404, 409, 412, has_body=True), 200: {"headers": headers("ETag")}},
    dependencies=_NO_QUERY,
)
async def reschedule_task(
    request: Request,
    context: InContext,
    id: TaskId,  # noqa: A002 - as in the path
    body: SmallJsonBody,
) -> Response:
    """Give a task that waits another queue, priority or due time; `{"delay_s": 0}` makes it due at once.

    A delay and the pause before a retry are skipped alike. One that is due already, and is to be due at once,
    keeps its place. A task that runs or has ended is refused (409); what it is asked to do never changes. To move
    it to another queue, a key has to grant `tasks:create` for that queue and its type, too. If something in it is
    secret that the key would see only there, it has to grant `tasks:read-secret` for the queue where it is.
    """
    wanted, key = to_rescheduling(body), shown_key(request.scope)
    task = await context.service.reschedule(
        id,
        wanted,
        versions=if_match_versions(request.scope),
        guard=lambda found: authorise_move(
            key, found, wanted.queue, has_secrets=context.service.masking.has_secrets(found)
        ),
        owner=owner_of(request.scope),
    )
    return task_response(await shown_task(context, request.scope, task)).to_starlette()


@router.post(
    "/tasks/{id}/cancel",
    summary="Cancel a task",
    response_model=TaskView,
    response_description="It is cancelled",
    responses={
        **refusals(404, 409, 412),
        200: {"headers": headers("ETag")},
        202: {
            "description": "It runs; its worker stops the handler within about a second",
            "model": TaskView,
            "headers": headers("ETag"),
        },
    },
    openapi_extra=_IF_MATCH,
    dependencies=_NO_QUERY,
)
async def cancel_task(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """Cancel a waiting task at once; a running one is stopped soon, unless it succeeds first."""
    done, task = await context.service.cancel(id, if_match_versions(request.scope))
    shown = await shown_task(context, request.scope, task)
    return task_response(shown, 200 if done is CancelResult.CANCELLED else 202).to_starlette()


@router.post(
    "/tasks/{id}/retry",
    summary="Run a finished task again",
    response_model=TaskView,
    response_description="It waits for a new run",
    responses={**refusals(404, 409, 412), 200: {"headers": headers("ETag")}},
    openapi_extra=_IF_MATCH,
    dependencies=_NO_QUERY,
)
async def retry_task(request: Request, context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """Start a new run of a task that has succeeded, failed or was cancelled."""
    task = await context.service.retry(id, if_match_versions(request.scope))
    return task_response(await shown_task(context, request.scope, task)).to_starlette()
