"""The live feed of changes."""

from typing import Annotated

from fastapi import Depends, Request, Response

from taskmill.api import queries
from taskmill.api.dependencies import InContext
from taskmill.api.feeds import LAST_EVENT_ID, REPEATABLE, EventStream, FeedQuery, start_cursor
from taskmill.api.openapi import new_router, query_parameters, refusals, request_header
from taskmill.wire.basics import EVENT_STREAM

router = new_router("events")

_EXAMPLE = """\
: ok
retry: 1000
id: 4711.3

id: 4712.1
event: change
data: {"cursor":"4712.1","task_id":"01a2104d-0554-7000-aa31-7e1796e3ff04","version":2,"event":"claimed",…}

: heartbeat
id: 4731.7

"""


async def feed_query_of(request: Request) -> FeedQuery:
    """Parse the query of a stream."""
    return queries.read_query(request.scope, FeedQuery, repeatable=REPEATABLE)


@router.get(
    "/events",
    summary="Follow all changes",
    response_class=Response,
    openapi_extra={
        "parameters": [
            *query_parameters(FeedQuery),
            request_header(LAST_EVENT_ID, "the id of the last event that was seen"),
        ]
    },
    responses={
        **refusals(409, 410),
        200: {
            "description": "Server-sent events: each `change` is a `ChangeView`, its id the cursor to go on from",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
    },
)
async def follow_changes(
    request: Request, context: InContext, query: Annotated[FeedQuery, Depends(feed_query_of)]
) -> Response:
    """Stream what happens to tasks: every change once, in order, none left out.

    Resume an interrupted stream with the header `Last-Event-ID`, as browsers do by themselves. Comments and events
    without data keep it alive and advance the id. When a client is too slow, or the server stops, a comment says
    so before the stream ends; a client that resumes misses nothing.
    """
    return EventStream(context, query.filter(), start_cursor(request.scope, query))
