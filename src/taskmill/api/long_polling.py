"""Long polling: with `Prefer: wait`, the response to reading a task waits until the task has another version.

It watches the shared reader of the feed instead of polling the database. Requests without `If-None-Match` never
come here.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Final, Self

from starlette.types import Receive, Scope

from taskmill.api.authorisation import shown_task
from taskmill.api.context import Context
from taskmill.api.refusals import ClientGone
from taskmill.api.responses import RawResponse, task_response
from taskmill.domain.task import Task
from taskmill.operations.listeners import Watch
from taskmill.operations.visibility import require_visible
from taskmill.runtime.http_scope import UNTIMED, set_deadline
from taskmill.wire.masking import ShownTask
from taskmill.wire.tasks import task_etag

PREFER: Final = "Prefer"
APPLIED: Final = (b"preference-applied", b"wait")

_WAIT = re.compile(rb'wait *= *"?([0-9]{1,9})"?', re.IGNORECASE)
_TAG = re.compile(rb'(?:W/)?"([0-9]{1,10})\.[0-9]{1,10}"')


async def conditional_response(
    context: Context, scope: Scope, receive: Receive, task: Task
) -> RawResponse:
    """Respond to a read with `If-None-Match`: 304 when the client has this version, otherwise the task.

    Raises:
        ClientGone: the client left while it waited.
    """
    known_tags = [value for name, value in scope["headers"] if name == b"if-none-match"]
    wait_s = min(_wanted_s(scope), context.feed_settings.wait_s)
    if wait_s and task.version in _versions(known_tags):
        scope[UNTIMED] = True
        async with _Presence(receive) as presence:
            return await _long_poll(
                context, scope, task, known_tags, wait_s=wait_s, presence=presence
            )
    return tagged_response(await shown_task(context, scope, task), known_tags)


class _Presence:
    """Notices when the client disconnects, while it is entered."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.watch: Watch | None = None
        self.is_gone = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._wait_for_disconnect())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if self.watch is not None:
            self.watch.finish()


async def _long_poll(
    context: Context,
    scope: Scope,
    task: Task,
    known_tags: Sequence[bytes],
    *,
    wait_s: float,
    presence: _Presence,
) -> RawResponse:
    now = asyncio.get_running_loop().time
    ends_at = now() + wait_s
    known = task.version
    async with context.feed.watching(task.id) as watch:
        if watch is None:
            return tagged_response(await shown_task(context, scope, task), known_tags)
        presence.watch = watch
        if presence.is_gone:
            raise ClientGone  # it left before the watch began
        set_deadline(scope, ends_at - now() + context.limits.request_timeout_s)
        # Commits from before the watch are seen by this read, later ones by the watch.
        task = await context.service.reading.get(task.id)
        while task.version == known and not watch.is_over and now() < ends_at:
            await watch.wait(ends_at - now())
            if presence.is_gone:
                raise ClientGone
            task = await context.service.reading.get(task.id)
    require_visible(task)
    response = tagged_response(await shown_task(context, scope, task), known_tags)
    response.headers = (*response.headers, APPLIED)
    return response


def tagged_response(task: ShownTask, known_tags: Sequence[bytes]) -> RawResponse:
    """Respond with the task, or 304 when one of the tags is its own."""
    tag = task_etag(task).encode()
    if any(matches(value, tag) for value in known_tags):
        return RawResponse(304, b"", ((b"etag", tag),))
    return task_response(task)


def matches(header: bytes, tag: bytes) -> bool:
    """Return whether an If-None-Match header has the tag; weak and strong tags count as equal."""
    candidates = [candidate.strip() for candidate in header.split(b",")]
    return b"*" in candidates or tag in [c.removeprefix(b"W/") for c in candidates]


def _wanted_s(scope: Scope) -> int:
    """Return how long the client wants to wait, 0 without that preference; other preferences are ignored."""
    for name, value in scope["headers"]:
        if name == b"prefer":
            for preference in value.split(b","):
                if found := _WAIT.fullmatch(preference.partition(b";")[0].strip()):
                    return int(found[1])
    return 0


def _versions(known_tags: Sequence[bytes]) -> set[int]:
    return {int(found[1]) for value in known_tags for found in _TAG.finditer(value)}
