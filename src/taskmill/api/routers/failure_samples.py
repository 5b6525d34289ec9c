"""What the tasks of a kind of failures have in common, and one of them as an example."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from taskmill.api import queries
from taskmill.api.authorisation import shown_task
from taskmill.api.dependencies import InContext
from taskmill.api.openapi import new_router, query_parameters, refusals
from taskmill.api.responses import RawResponse
from taskmill.api.routers.failures import FailureWindow, KindId
from taskmill.domain.activity import Window
from taskmill.domain.errors import InvalidInput
from taskmill.domain.failure_samples import FailureSample
from taskmill.operations.failure_examples import example_of, messages_of
from taskmill.wire.failure_samples import FailureSampleView, sample_json
from taskmill.wire.fields import Expected
from taskmill.wire.wording import describe

router = new_router("failures")

_ID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"


class SampleQuery(BaseModel):
    """Which task of a kind is the example."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: FailureWindow = Field(
        default=Window.DAY, description="labels are compared with the types that failed within it"
    )
    task: (
        Annotated[str, Field(pattern=_ID), Expected("the id of a task of the sample", reveal=True)]
        | None
    ) = Field(
        default=None,
        description="the id of the task of the sample to show as the example; else the newest",
    )


@router.get(
    "/failures/{id}/sample",
    summary="Read a sample of a kind of failures",
    response_model=FailureSampleView,
    openapi_extra={"parameters": query_parameters(SampleQuery)},
    responses=refusals(400, 404),
)
async def sample_failure(request: Request, context: InContext, id: KindId) -> Response:  # noqa: A002 - as in the path
    """Read what the newest 200 tasks of a kind that are still failed have in common, and one as an example.

    Its payload is compared with that of the newest task of its type that succeeded; what is secret is masked.
    """
    query = queries.read_query(request.scope, SampleQuery)
    service = context.service
    sample = await service.failures.sample(await service.failures.get(id, query.window))
    chosen = None if query.task is None else _chosen(query.task, sample)
    example = await example_of(service, sample, chosen, partial(shown_task, context, request.scope))
    messages = await messages_of(service, sample)
    return RawResponse(200, sample_json(sample, messages, example)).to_starlette()


def _chosen(text: str, sample: FailureSample) -> UUID:
    """Return the id of a task of the sample. Raises `InvalidInput`."""
    found = UUID(text)
    if all(found != one.id for one in sample.failed):
        raise InvalidInput.at("query:task", "a task of the sample", describe(text, reveal=True))
    return found
