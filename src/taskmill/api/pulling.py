"""Long polls of workers: held as long as wished; what a client that has left can't have got is given back.

Renewals may come without a body, which no other request may.
"""

import asyncio

from starlette.types import Receive, Scope

from taskmill.api.bodies import JSON_TYPES, form_of, read_body
from taskmill.api.context import Context
from taskmill.api.refusals import ClientGone
from taskmill.domain.remote import LeaseRequest, RemoteLease
from taskmill.operations.pull import Pull
from taskmill.runtime.http_scope import DEADLINE, HELD
from taskmill.runtime.offload import LARGE_BYTES
from taskmill.wire.strict_json import parse


async def claim(
    context: Context, scope: Scope, receive: Receive, wanted: LeaseRequest
) -> RemoteLease | None:
    """Return a lease for the client that waits, None when nothing came in time.

    Raises:
        ClientGone: it has left; nothing stays claimed for it.
        Unavailable: the database is away, or too many calls wait.
    """
    if wanted.wait_s:
        scope[HELD] = True
        _allow(scope, wanted.wait_s, context.limits.request_timeout_s)
    loop = asyncio.get_running_loop()
    claiming = loop.create_task(context.pull.claim(wanted))
    leaving = loop.create_task(_left(receive))
    both = (claiming, leaving)
    is_wanted = False
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            raise ClientGone
        lease = claiming.result()
        is_wanted = True
        return lease
    finally:
        for task in both:
            task.cancel()
        await asyncio.wait(both)
        if not is_wanted:
            _give_back(context.pull, claiming)


def _allow(scope: Scope, wait_s: float, rest_s: float) -> None:
    """Let the request's deadline begin when the wait is over."""
    deadline: asyncio.Timeout | None = scope.get(DEADLINE)
    if deadline is not None:
        deadline.reschedule(asyncio.get_running_loop().time() + wait_s + rest_s)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _give_back(pull: Pull, claiming: "asyncio.Task[RemoteLease | None]") -> None:
    """Return a lease that came in the very moment in which nobody wanted it any more."""
    if claiming.cancelled() or claiming.exception() is not None:
        return
    lease = claiming.result()
    if lease is not None:
        pull.return_lease(lease.id)


async def optional_body(context: Context, scope: Scope, receive: Receive) -> object:
    """Return the parsed body, an empty object for none, whatever type is said of that.

    Raises as `bodies.read_json_body` and `strict_json.parse` do.
    """
    form = form_of(scope)
    limit_bytes = min(LARGE_BYTES, context.limits.body_bytes)
    body = await read_body(scope, receive, form.content_length, limit_bytes)
    if not body:
        return {}
    form.check(JSON_TYPES)
    return parse(body)
