"""Long polls of workers for tasks; a lease that a client can't have received, because it left, is given back.

Renewals may come without a body; no other request may.
"""

import asyncio

from starlette.types import Receive, Scope

from taskmill.api.bodies import JSON_TYPES, form_of, read_body
from taskmill.api.context import Context
from taskmill.api.refusals import ClientGone
from taskmill.domain.remote import LeaseRequest, RemoteLease
from taskmill.operations.pull import Pull
from taskmill.runtime.http_scope import UNTIMED, set_deadline
from taskmill.runtime.offload import LARGE_BYTES
from taskmill.wire.strict_json import parse


async def claim(
    context: Context, scope: Scope, receive: Receive, wanted: LeaseRequest
) -> RemoteLease | None:
    """Return a lease for a waiting client, None when no task came in time.

    Raises:
        ClientGone: the client has left; nothing stays claimed for it.
        Unavailable: the database is away, or too many calls wait.
    """
    if wanted.wait_s:
        scope[UNTIMED] = True
        set_deadline(scope, wanted.wait_s + context.limits.request_timeout_s)
    loop = asyncio.get_running_loop()
    claiming = loop.create_task(context.pull.claim(wanted))
    leaving = loop.create_task(_wait_for_disconnect(receive))
    tasks = (claiming, leaving)
    is_returned = False
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            raise ClientGone
        lease = claiming.result()
        is_returned = True
        return lease
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if not is_returned:
            _give_back(context.pull, claiming)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _give_back(pull: Pull, claiming: "asyncio.Task[RemoteLease | None]") -> None:
    """Return a lease that was claimed at the moment in which the client left."""
    if claiming.cancelled() or claiming.exception() is not None:
        return
    lease = claiming.result()
    if lease is not None:
        pull.return_lease(lease.id)


async def optional_body(context: Context, scope: Scope, receive: Receive) -> object:
    """Return the parsed body; for an empty one, whatever its type, an empty object.

    Raises as `bodies.read_json_body` and `strict_json.parse` do.
    """
    form = form_of(scope)
    limit_bytes = min(LARGE_BYTES, context.limits.body_bytes)
    body = await read_body(scope, receive, form.content_length, limit_bytes)
    if not body:
        return {}
    form.check(JSON_TYPES)
    return parse(body)
