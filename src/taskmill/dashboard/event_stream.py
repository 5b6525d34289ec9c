"""The stream of a page of events: what has changed since, as rows of its table.

Rows are sent at most twice a second. When more has changed meanwhile than people can read, only the newest are
sent, with how many there were.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.errors import BadCursor, ChangesForgotten
from taskmill.domain.feed import Change, Cursor, FeedFilter
from taskmill.domain.lifecycle import EventType
from taskmill.domain.quotas import Owner
from taskmill.operations.feed import Feed
from taskmill.operations.listeners import End, Stream
from taskmill.operations.quotas import StreamQuota
from taskmill.runtime.http_scope import ABORT, HEAD_ONLY, UNTIMED, set_deadline

MOST_ROWS: Final = 50
"""Most rows that are sent at once."""

_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    # nginx would buffer events otherwise.
    (b"x-accel-buffering", b"no"),
)
_MIN_INTERVAL_S: Final = 0.5
_HEARTBEAT_S: Final = 15.0
_STREAM_S: Final = 3600.0
_STALLED_S: Final = 10.0
_BEGIN: Final = b"retry: 1000\n: ok\n\n"
_ALIVE: Final = b": alive\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedEvents:
    """Which changes are wanted, of which event types (none: of all), and from where on; None: from now on."""

    filter: FeedFilter
    event_types: Collection[EventType] = ()
    after: Cursor | None = None

    def among(self, changes: Sequence[Change]) -> list[Change]:
        """Return those that are of a wanted type; what streams give fits the filter."""
        types = self.event_types
        return [one for one in changes if not types or one.event.event_type in types]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """The feed, whose streams are counted for their owners, and the check that a reader is still let in."""

    feed: Feed
    quota: StreamQuota
    owner: Owner | None
    check_again: Callable[[], Awaitable[None]]


class EventRows(Response):
    """The response: it goes on until the reader leaves, an hour is over, or the process stops.

    It ends before what it would send next when the reader is no longer let in. `render` makes rows, newest first.
    """

    def __init__(
        self, source: EventSource, wanted: WantedEvents, render: Callable[[Sequence[Change]], str]
    ) -> None:
        super().__init__()
        self._source = source
        self._wanted = wanted
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; refusals are raised before anything is sent."""
        with self._source.quota.hold(self._source.owner):
            try:
                await self._stream(self._wanted.after, scope, receive, send)
            except (BadCursor, ChangesForgotten):
                await self._stream(None, scope, receive, send)

    async def _stream(
        self, after: Cursor | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async with self._source.feed.listening(self._wanted.filter, after) as stream:
            scope[UNTIMED] = True
            set_deadline(scope, None)
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
            if HEAD_ONLY in scope:
                await send({"type": "http.response.body", "body": b""})
                return
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(_finish_on_disconnect(receive, stream))
                try:
                    await self._send_rows(stream, send)
                except TimeoutError:
                    # The reader has stalled: abort, as what is left to send would stay in memory.
                    scope[ABORT]()
                watch.cancel()

    async def _send_rows(self, stream: Stream, send: Send) -> None:
        now = asyncio.get_running_loop().time
        ends_at = now() + _STREAM_S
        body = _BEGIN
        while now() < ends_at:
            await _send(send, body, more=True)
            sent_at = now()
            changes, count = await self._next(stream)
            if (not changes and stream.end is not None) or not await self._is_let_in():
                break
            body = self._frame(changes, count, stream.cursor) if changes else _ALIVE
            await asyncio.sleep(max(sent_at + _MIN_INTERVAL_S - now(), 0.0))
        await _send(send, b"", more=False)

    async def _next(self, stream: Stream) -> tuple[list[Change], int]:
        """Return the newest of what waits, oldest first, and how many wait; none after a while without any."""
        batch = await stream.next(_HEARTBEAT_S)
        found = self._wanted.among(batch.changes)
        count = len(found)
        while batch.changes and not batch.is_live and stream.end is None:
            batch = await stream.next(0.0)
            more = self._wanted.among(batch.changes)
            count += len(more)
            found = [*found, *more][-MOST_ROWS:]
        return found[-MOST_ROWS:], count

    async def _is_let_in(self) -> bool:
        try:
            await self._source.check_again()
        except NotAuthenticated:
            return False
        return True

    def _frame(self, changes: Sequence[Change], count: int, cursor: Cursor) -> bytes:
        data = orjson.dumps({"rows": self._render(changes[::-1]), "count": count})
        return b"id: %b\nevent: rows\ndata: %b\n\n" % (str(cursor).encode(), data)


async def _finish_on_disconnect(receive: Receive, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.finish(End.GONE)


async def _send(send: Send, body: bytes, *, more: bool) -> None:
    async with asyncio.timeout(_STALLED_S):
        await send({"type": "http.response.body", "body": body, "more_body": more})
