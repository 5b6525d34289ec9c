"""The earlier service's addresses (the legacy API), as thin aliases: its formats for the same tasks.

An app of its own, mounted under `/task_service`, with its own document and error format.
"""

from functools import partial
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, FastAPI, Path, Request, Response
from pydantic import BaseModel, BeforeValidator, Field

from taskmill.api import queries
from taskmill.api.authorisation import authorise_draft, shown_key
from taskmill.api.bodies import hop_of_request, traceparent_of
from taskmill.api.context import NO_TELEMETRY, Context
from taskmill.api.dependencies import InContext, validated_body
from taskmill.api.errors import add_error_handlers
from taskmill.api.listings import LARGEST_PAGE, whole_number
from taskmill.api.openapi import (
    Json,
    add_routes,
    install,
    json_body,
    new_router,
    query_parameters,
    refusal,
)
from taskmill.api.refusals import raise_if_refused
from taskmill.api.responses import RawResponse
from taskmill.api.routers.documents import add_documents
from taskmill.domain.audit import AuditAction
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.wire.fields import Expected
from taskmill.wire.hops import count_hop
from taskmill.wire.legacy import (
    LegacyCreate,
    LegacyError,
    LegacyFilter,
    LegacyPage,
    LegacyTask,
    legacy_draft,
    legacy_page_json,
    legacy_task_json,
    statuses_of,
)

PREFIX: Final = "/task_service"

_LARGEST_SKIP = 100_000

router = new_router("earlier service", prefix="/api/v1")


def _refusals(*own: int) -> dict[int | str, Json]:
    statuses = sorted({*own, 400, 421, 422, 500, 503})
    return {status: refusal(status, LegacyError, "application/json") for status in statuses}


def _refused(status: int) -> Json:
    return _refusals(status)[status]


class LegacyQuery(BaseModel):
    """Which tasks to list; other parameters are ignored, as they were."""

    status: LegacyFilter | None = Field(default=None, description="`Ошибка` shows cancelled too")
    skip: Annotated[
        int,
        Field(ge=0, le=_LARGEST_SKIP),
        BeforeValidator(whole_number),
        Expected(f"a whole number from 0 to {_LARGEST_SKIP}", reveal=True),
    ] = 0
    limit: Annotated[
        int,
        Field(ge=1, le=LARGEST_PAGE),
        BeforeValidator(whole_number),
        Expected(f"a whole number from 1 to {LARGEST_PAGE}", reveal=True),
    ] = 20


async def _query_of(request: Request) -> LegacyQuery:
    given = queries.parsed_query(request.scope, LegacyQuery.model_fields)
    if "status" in given:
        statuses_of(str(given["status"]))  # its error has the legacy names
    return queries.validate_query(given, LegacyQuery)


async def _uid_of(uid: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return queries.task_id(uid, "uid")


@router.post(
    "/task/",
    status_code=201,
    summary="Create a task",
    response_model=LegacyTask,
    openapi_extra={"requestBody": json_body(LegacyCreate)},
    responses=_refusals(408, 409, 413, 415),
)
@router.post("/task", status_code=201, include_in_schema=False)
async def create_task(request: Request, context: InContext) -> Response:
    """Create a task; `POST /tasks` has more fields."""
    traceparent = traceparent_of(request.scope)
    hop = hop_of_request(request.scope, context.input_limits.hops)
    draft = await validated_body(request, partial(legacy_draft, traceparent=traceparent))
    authorise_draft(shown_key(request.scope), draft)
    count_hop(draft, hop)
    created = await context.service.creation.create(draft)
    return RawResponse(201, legacy_task_json(created.task)).to_starlette()


@router.get(
    "/task/",
    summary="List tasks",
    response_model=LegacyPage,
    openapi_extra={"parameters": query_parameters(LegacyQuery)},
    responses=_refusals(),
)
@router.get("/task", include_in_schema=False)
async def list_tasks(
    context: InContext, query: Annotated[LegacyQuery, Depends(_query_of)]
) -> Response:
    """List tasks, oldest first; `GET /tasks` has cursors and more filters."""
    statuses = statuses_of(query.status) if query.status else frozenset()
    page = await context.service.page(
        TaskFilter(statuses=statuses),
        # Its clients rely on getting as many as they requested; none is larger than 50 KB.
        PageRequest(
            limit=query.limit,
            offset=query.skip,
            oldest_first=True,
            is_brief=True,
            most_bytes=None,
        ),
    )
    body = legacy_page_json(page.items, limit=query.limit, offset=query.skip, total=page.total or 0)
    return RawResponse(200, body).to_starlette()


@router.get(
    "/task/{uid}/", summary="Read a task", response_model=LegacyTask, responses=_refusals(404)
)
@router.get("/task/{uid}", include_in_schema=False)
async def get_task(context: InContext, uid: Annotated[UUID, Depends(_uid_of)]) -> Response:
    """Read a task by its `uid`, which is its id in `GET /tasks/{id}`."""
    return RawResponse(200, legacy_task_json(await context.service.reading.get(uid))).to_starlette()


class WorkerStarted(BaseModel):
    """A worker is started."""

    detail: str = "a worker runs what waits"


async def _refuse_other_sites(request: Request, context: InContext) -> None:
    """Refuse requests by pages of other sites: this GET changes something."""
    raise_if_refused(context.access.cross_site_refusal(request.scope))


@router.get(
    "/worker/",
    summary="Run what waits",
    dependencies=[Depends(_refuse_other_sites)],
    responses={status: _refusals(403)[status] for status in (400, 403, 421, 500)},
)
@router.get("/worker", include_in_schema=False, dependencies=[Depends(_refuse_other_sites)])
async def start_worker(context: InContext) -> WorkerStarted:
    """Start a worker in the background that runs what waits, and then ends; harmless when other workers run."""
    if context.drain is not None:
        async with context.service.audit.record(AuditAction.WORKER_START):
            context.drain()
    return WorkerStarted()


def create_legacy_app(context: Context, *, version: str) -> FastAPI:
    """Make the app of the legacy addresses."""
    app = FastAPI(
        title="Taskmill: the earlier service's addresses",
        version=version,
        description="Thin aliases over the same tasks. New programs use the addresses under `/tasks`.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        telemetry=NO_TELEMETRY,
    )
    app.state.context = context
    add_routes(app, router)
    install(app, (LegacyCreate, LegacyError), prefix=PREFIX, refused=_refused)
    add_documents(app, static="../static", with_redoc=False)
    add_error_handlers(app, prefix=PREFIX)
    return app
