"""`Prefer: wait` on reading a task: the answer is held back while the task is as the client knows it.

It asks the shared reader of the feed, not the database again and again. Requests without `If-None-Match`
never come here.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Final, Self

from starlette.types import Receive, Scope

from taskmill.api.answers import Answer, task_answer
from taskmill.api.context import Context
from taskmill.api.refusals import ClientGone
from taskmill.domain.task import Task
from taskmill.operations.listeners import Watch
from taskmill.runtime.http_scope import DEADLINE, HELD
from taskmill.wire.tasks import task_etag

PREFER: Final = "Prefer"
APPLIED: Final = (b"preference-applied", b"wait")

_WAIT = re.compile(rb'wait *= *"?([0-9]{1,9})"?', re.IGNORECASE)
_TAG = re.compile(rb'(?:W/)?"([0-9]{1,10})\.[0-9]{1,10}"')


async def conditional_answer(
    context: Context, scope: Scope, receive: Receive, task: Task
) -> Answer:
    """Answer a read that has `If-None-Match`: 304 when the task is as the client knows it, else the task.

    Raises:
        ClientGone: the client left while it was held.
    """
    asked = [value for name, value in scope["headers"] if name == b"if-none-match"]
    wait_s = min(_wanted_s(scope), context.feed_settings.wait_s)
    if wait_s and task.version in _versions(asked):
        scope[HELD] = True
        async with _Presence(receive) as presence:
            return await _held_answer(context, scope, task, asked, wait_s=wait_s, presence=presence)
    return _answer(task, asked)


class _Presence:
    """Whether the client is still there, for as long as it is entered."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.watch: Watch | None = None
        self.is_gone = False

    async def __aenter__(self) -> Self:
        self._looking = asyncio.get_running_loop().create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()
        await asyncio.wait([self._looking])

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if self.watch is not None:
            self.watch.finish()


async def _held_answer(
    context: Context,
    scope: Scope,
    task: Task,
    asked: Sequence[bytes],
    *,
    wait_s: float,
    presence: _Presence,
) -> Answer:
    now = asyncio.get_running_loop().time
    ends_at = now() + wait_s
    known = task.version
    async with context.feed.watching(task.id) as watch:
        if watch is None:
            return _answer(task, asked)
        presence.watch = watch
        if presence.is_gone:
            raise ClientGone  # before there was anything to end
        deadline: asyncio.Timeout | None = scope.get(DEADLINE)
        if deadline is not None:
            deadline.reschedule(ends_at + context.limits.request_timeout_s)
        # What was committed before the watch began is seen here, what came later by the watch.
        task = await context.service.get(task.id)
        while task.version == known and not watch.is_over and now() < ends_at:
            await watch.wait(ends_at - now())
            if presence.is_gone:
                raise ClientGone
            task = await context.service.get(task.id)
    answer = _answer(task, asked)
    answer.headers = (*answer.headers, APPLIED)
    return answer


def _answer(task: Task, asked: Sequence[bytes]) -> Answer:
    tag = task_etag(task).encode()
    if any(matches(value, tag) for value in asked):
        return Answer(304, b"", ((b"etag", tag),))
    return task_answer(task)


def matches(asked: bytes, tag: bytes) -> bool:
    """Tell whether an If-None-Match header names the tag; weak or strong is the same here."""
    candidates = [candidate.strip() for candidate in asked.split(b",")]
    return b"*" in candidates or tag in [c.removeprefix(b"W/") for c in candidates]


def _wanted_s(scope: Scope) -> int:
    """Return how long the client would wait, 0 when it does not say; other preferences are nobody's business."""
    for name, value in scope["headers"]:
        if name == b"prefer":
            for preference in value.split(b","):
                if found := _WAIT.fullmatch(preference.partition(b";")[0].strip()):
                    return int(found[1])
    return 0


def _versions(asked: Sequence[bytes]) -> set[int]:
    return {int(found[1]) for value in asked for found in _TAG.finditer(value)}
