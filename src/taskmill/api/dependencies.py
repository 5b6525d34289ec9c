"""What the framework passes to endpoints: the context, ids, parsed bodies and queries.

All of it is `async`: what is not, the framework calls on a thread, which takes a tenth of a millisecond for each,
and more while others compute.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar, cast
from uuid import UUID

from fastapi import Depends, Path, Request

from taskmill.api import queries
from taskmill.api.bodies import read_json_body
from taskmill.api.context import Context
from taskmill.api.listings import REPEATABLE, ListingQuery
from taskmill.domain.errors import InvalidInput
from taskmill.runtime.offload import LARGE_BYTES
from taskmill.wire.fields import NAME_PATTERN, NAME_WORDS, is_name
from taskmill.wire.strict_json import parse
from taskmill.wire.wording import describe

Result = TypeVar("Result")

_EXAMPLE_ID: Final = "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"


async def context_of(request: Request) -> Context:
    """Return the context that the app was made with."""
    return _context_of(request)


def _context_of(request: Request) -> Context:
    return cast("Context", request.app.state.context)


async def refuse_query(request: Request) -> None:
    """Refuse any query parameter."""
    queries.refuse_query(request.scope)


async def task_id_of(
    request: Request,
    id: Annotated[  # noqa: A002 - the parameter's name in the document
        str,
        Path(
            description="the task's id, or its number",
            json_schema_extra={"pattern": queries.TASK_PATTERN},
            examples=[_EXAMPLE_ID, "17"],
        ),
    ],
) -> UUID:
    """Parse the id in the path, or look up the id of the number in it."""
    number = queries.task_number(id)
    return (
        queries.task_id(id)
        if number is None
        else await _context_of(request).service.reading.find_id(number)
    )


def _id_of(
    what: str, description: str, example: str = _EXAMPLE_ID
) -> Callable[[str], Awaitable[UUID]]:
    """Return what parses the id of `what` in the path."""

    async def parsed(
        id: Annotated[  # noqa: A002 - the parameter's name in the document
            str,
            Path(
                description=description,
                json_schema_extra={"format": "uuid"},
                examples=[example],
            ),
        ],
    ) -> UUID:
        return queries.path_id(id, what)

    return parsed


def _name_of(description: str, example: str) -> Callable[[str], Awaitable[str]]:
    """Return what checks the name in the path."""

    async def checked(
        name: Annotated[
            str,
            Path(
                description=description,
                json_schema_extra={"pattern": NAME_PATTERN},
                examples=[example],
            ),
        ],
    ) -> str:
        if not is_name(name):
            raise InvalidInput.at("path:name", NAME_WORDS, describe(name, reveal=True))
        return name

    return checked


async def validated_body(request: Request, read: Callable[[object], Result]) -> Result:
    """Return what `read` makes of the parsed body. A large one is parsed and read on the offload thread."""
    context = _context_of(request)
    body = await read_json_body(request.scope, request.receive, context.limits.body_bytes)
    return await context.offload.run_if_large(len(body), lambda: read(parse(body)))


async def small_body_of(request: Request) -> object:
    """Read and parse a body of at most `LARGE_BYTES`."""
    limit_bytes = min(LARGE_BYTES, _context_of(request).limits.body_bytes)
    return parse(await read_json_body(request.scope, request.receive, limit_bytes))


async def listing_query_of(request: Request) -> ListingQuery:
    """Parse the query of a listing."""
    return queries.read_query(request.scope, ListingQuery, repeatable=REPEATABLE)


InContext = Annotated[Context, Depends(context_of)]
TaskId = Annotated[UUID, Depends(task_id_of)]
LeaseId = Annotated[
    UUID, Depends(_id_of("a lease's id", "the lease's id", "01a2104c-91d0-7000-8b1e-50f0c6ad9e55"))
]
JobId = Annotated[UUID, Depends(_id_of("a job's id", "the job's id"))]
RejectionId = Annotated[UUID, Depends(_id_of("a refused message's id", "the refused message's id"))]
NoticeId = Annotated[
    UUID, Depends(_id_of("a notice's id", "the notice's id, as GET /attention shows it"))
]
WorkerId = Annotated[
    UUID, Depends(_id_of("a worker's id", "the id of the worker's lease, as GET /workers shows it"))
]
WebhookId = Annotated[UUID, Depends(_id_of("a webhook's id", "the webhook's id"))]
SessionId = Annotated[
    UUID, Depends(_id_of("a session's id", "the session's id, as GET /sessions shows it"))
]
ScheduleName = Annotated[str, Depends(_name_of("the schedule's name", "nightly-report"))]
TypeName = Annotated[str, Depends(_name_of("the type's name", "send-email"))]
QueueName = Annotated[str, Depends(_name_of("the queue's name", "default"))]
SmallJsonBody = Annotated[object, Depends(small_body_of)]
Listing = Annotated[ListingQuery, Depends(listing_query_of)]
