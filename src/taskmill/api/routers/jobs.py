"""Jobs that cancel or retry many tasks in the background: start, list, read, stop."""

from typing import Annotated, Final

from fastapi import Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from taskmill.api import cursors, queries
from taskmill.api.dependencies import InContext, JobId, SmallJsonBody, refuse_query
from taskmill.api.idempotency import KEY_HEADER, idempotency_key_of
from taskmill.api.listings import LARGEST_PAGE, whole_number
from taskmill.api.openapi import headers, json_body, new_router, query_parameters, refusals
from taskmill.api.responses import JSON, RawResponse
from taskmill.domain.task import IdempotencyKey
from taskmill.wire.fields import Expected
from taskmill.wire.jobs import JobList, JobView, StartJob, job_json, jobs_json, to_job_request
from taskmill.wire.strict_json import canonical_hash

router = new_router("jobs")

_NO_QUERY: Final = [Depends(refuse_query)]
_DIGEST: Final = b"the jobs"


class JobQuery(BaseModel):
    """Which part of the jobs to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[
        int,
        Field(ge=1, le=LARGEST_PAGE),
        BeforeValidator(whole_number),
        Expected(f"a whole number from 1 to {LARGEST_PAGE}", reveal=True),
    ] = Field(default=50, description="jobs on a page")
    cursor: Annotated[str, Expected("a cursor")] | None = Field(
        default=None, description="`next_cursor` of the page before"
    )


@router.post(
    "/jobs",
    status_code=201,
    summary="Start a job",
    response_model=JobView,
    response_description="It goes on in the background",
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": json_body(StartJob)},
    responses={
        **refusals(409, has_body=True),
        200: {
            "description": "The key's first request had started it",
            "model": JobView,
            "headers": headers("Location"),
        },
        201: {"headers": headers("Location")},
    },
    dependencies=_NO_QUERY,
)
async def start_job(request: Request, context: InContext, body: SmallJsonBody) -> Response:
    """Cancel tasks that fit the filter, or run them again, at a rate if wanted: in the background, oldest first.

    It includes no tasks that are created later, and goes on when processes restart. Without `delay_s` and
    `per_second` tasks that run again are due at once; a cancel has neither. At most 10 jobs go on at a time. An
    idempotency key stands for its job as long as that is kept.
    """
    wanted = to_job_request(body, context.clock.now())
    key = idempotency_key_of(request.scope, context.input_limits)
    idempotency = (
        None if key is None else IdempotencyKey(key=key, request_hash=canonical_hash(body))
    )
    jobs = context.service.jobs
    job, replayed = await jobs.start(jobs.new_id(), wanted, idempotency)
    location = (b"location", f"/jobs/{job.id}".encode())
    return RawResponse(200 if replayed else 201, job_json(job), (JSON, location)).to_starlette()


@router.get(
    "/jobs",
    summary="List jobs",
    response_model=JobList,
    openapi_extra={"parameters": query_parameters(JobQuery)},
    responses=refusals(400),
)
async def list_jobs(request: Request, context: InContext) -> Response:
    """List jobs, newest first; those that are over are kept for 30 days."""
    query = queries.read_query(request.scope, JobQuery)
    before = None if query.cursor is None else cursors.decode(query.cursor, _DIGEST)
    page = await context.service.jobs.page(before=before, limit=query.limit)
    next_cursor = cursors.encode(page[-1].id, _DIGEST) if page.has_more else None
    return RawResponse(200, jobs_json(page, next_cursor)).to_starlette()


@router.get(
    "/jobs/{id}",
    summary="Read a job",
    response_model=JobView,
    responses=refusals(404),
    dependencies=_NO_QUERY,
)
async def get_job(context: InContext, id: JobId) -> Response:  # noqa: A002 - as in the path
    """Read a job: how far it is."""
    return RawResponse(200, job_json(await context.service.jobs.get(id))).to_starlette()


@router.post(
    "/jobs/{id}/stop",
    summary="Stop a job",
    response_model=JobView,
    responses=refusals(404),
    dependencies=_NO_QUERY,
)
async def stop_job(context: InContext, id: JobId) -> Response:  # noqa: A002 - as in the path
    """Stop a job after its current step; what it has done stays done. One that is over stays as it is."""
    return RawResponse(200, job_json(await context.service.jobs.stop(id))).to_starlette()
