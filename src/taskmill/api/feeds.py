"""The feed over HTTP: its query, where a stream begins, and the stream itself (server-sent events)."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from taskmill.api.authorisation import owner_of
from taskmill.api.context import Context
from taskmill.api.refusals import ClientGone
from taskmill.domain.errors import BadCursor, InvalidInput
from taskmill.domain.feed import Cursor, FeedFilter
from taskmill.domain.lifecycle import Status
from taskmill.observability.logs import get_logger
from taskmill.operations.listeners import End, Stream
from taskmill.runtime.http_scope import ABORT, HEAD_ONLY, UNTIMED, set_deadline
from taskmill.wire import fields
from taskmill.wire.basics import EVENT_STREAM, LIVE
from taskmill.wire.feed import notice_frame
from taskmill.wire.fields import Expected
from taskmill.wire.wording import describe

log = get_logger(__name__)

LAST_EVENT_ID: Final = "Last-Event-ID"
REPEATABLE: Final = frozenset({"queue", "type", "status", "task"})

_HEADERS: Final = [
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-store"),
    # nginx would buffer the events otherwise.
    (b"x-accel-buffering", b"no"),
]
_RETRY_MS: Final = 1000
# Clients reconnect within this time after a server stops, not all at once.
_SPREAD_MS: Final = 2000
# A client that reads nothing for this long is disconnected.
_STALLED_S: Final = 15.0
_MOST_FRAMES: Final = 200
_ID_LENGTH: Final = 36


def _plain_id(text: object) -> object:
    """Refuse braces, URNs and other spellings of an id."""
    if not isinstance(text, str) or len(text) != _ID_LENGTH or str(UUID(text)) != text.lower():
        raise ValueError("not a UUID of 36 characters")
    return text


class FeedQuery(BaseModel):
    """Which changes to follow, and from where on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue: list[fields.Slug] = Field(default=[], description="only these queues; may be repeated")
    type: list[fields.Slug] = Field(default=[], description="only these types; may be repeated")
    status: Annotated[list[Status], Expected(f"one of {', '.join(Status)}", reveal=True)] = Field(
        default=[], description="only changes into these statuses; may be repeated"
    )
    task: Annotated[
        list[Annotated[UUID, BeforeValidator(_plain_id)]],
        Expected("a task's id: a UUID of 36 characters", reveal=True),
    ] = Field(default=[], description="only these tasks; may be repeated")
    after: Annotated[str, Expected("a cursor: the id of an event")] | None = Field(
        default=None,
        description="the id of the last event that was seen, 0 for the oldest one retained; without it from "
        "now on. The header Last-Event-ID wins",
    )

    def filter(self) -> FeedFilter:
        """Return which changes are wanted."""
        return FeedFilter(
            queues=frozenset(self.queue),
            types=frozenset(self.type),
            statuses=frozenset(self.status),
            tasks=frozenset(self.task),
        )


def start_cursor(scope: Scope, query: FeedQuery) -> Cursor | None:
    """Return the cursor to start after, None to start at the present.

    Raises:
        BadCursor: it is not a cursor of the feed.
        InvalidInput: the header came several times.
    """
    sent = [value for name, value in scope["headers"] if name == b"last-event-id"]
    if len(sent) > 1:
        raise InvalidInput.at(f"header:{LAST_EVENT_ID}", "one id", "several")
    if sent:
        return _cursor(sent[0].decode("latin-1"), f"header:{LAST_EVENT_ID}")
    return None if query.after is None else _cursor(query.after, "query:after")


def _cursor(text: str, pointer: str) -> Cursor:
    try:
        return Cursor.parse(text)
    except ValueError:
        expected = "the id of an event of this feed, or 0"
        raise BadCursor(describe(text, reveal=True), pointer=pointer, expected=expected) from None


class EventStream(Response):
    """The response to `GET /events`: it goes on until the client leaves, or is asked to reconnect."""

    media_type = EVENT_STREAM

    def __init__(self, context: Context, wanted: FeedFilter, after: Cursor | None) -> None:
        super().__init__()
        self._context = context
        self._wanted = wanted
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; refusals are raised before anything is sent."""
        with self._context.stream_quota.hold(owner_of(scope)):
            await self._stream(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._context.feed.listening(self._wanted, self._after) as stream:
            scope[UNTIMED] = True
            set_deadline(scope, None)
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            if HEAD_ONLY in scope:
                await send({"type": "http.response.body", "body": b""})
                return
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(_finish_on_disconnect(receive, stream))
                if not await _StreamWriter(self._context, stream, send).run():
                    # It reads nothing: what is left to send would stay in memory until it disconnects.
                    scope[ABORT]()
                    await watch
                watch.cancel()


async def _finish_on_disconnect(receive: Receive, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.finish(End.GONE)


class _StreamWriter:
    """Writes a stream to one client."""

    def __init__(self, context: Context, stream: Stream, send: Send) -> None:
        self._context = context
        self._stream = stream
        self._send_message = send
        self._now = asyncio.get_running_loop().time
        self._sent_at = self._now()
        self._is_live = False

    async def run(self) -> bool:
        """Send until the stream is over; False when the client does not read it."""
        settings, stream = self._context.feed_settings, self._stream
        ends_at = self._now() + settings.stream_s
        try:
            await self._send(notice_frame("ok", cursor=stream.cursor, retry_ms=_RETRY_MS))
            while self._now() < ends_at:
                idle_s = self._now() - self._sent_at
                timeout_s = min(settings.heartbeat_s - idle_s, ends_at - self._now())
                batch = await stream.next(max(timeout_s, 0.0))
                for part in _parts(batch.frames):
                    await self._send(part)
                if not batch.frames and stream.end is not None:
                    break
                await self._send_notice(batch.cursor, is_live=batch.is_live)
            await self._end(stream.end)
        except TimeoutError:
            log.info("stream.stalled", cursor=str(stream.cursor))
            return False
        except ClientGone:  # its API key is no longer valid
            return False
        except Exception:
            # The head is sent, so the response can't be an error. The client resumes at its cursor.
            log.exception("stream.failed", cursor=str(stream.cursor))
            await self._end(None)
        return True

    async def _send_notice(self, cursor: Cursor, *, is_live: bool) -> None:
        """Send `live` when the present is reached, or a heartbeat; both advance the client's cursor."""
        if is_live and not self._is_live:
            self._is_live = True
            await self._send(notice_frame(LIVE, cursor=cursor))
        elif self._now() - self._sent_at >= self._context.feed_settings.heartbeat_s:
            await self._send(notice_frame("heartbeat", cursor=cursor))

    async def _end(self, why: End | None) -> None:
        if why is End.GONE:
            return
        if why is End.SLOW:
            log.info("stream.dropped", cursor=str(self._stream.cursor))
        retry_ms = _RETRY_MS + random.randrange(_SPREAD_MS)  # noqa: S311 - spreads load, guards nothing
        if why is End.STOPPING:
            retry_ms += round(self._context.stop_delay_s * 1000)
        reason = why or "time to connect anew"
        notice = notice_frame(f"{reason}; go on with {LAST_EVENT_ID}", retry_ms=retry_ms)
        await self._send(notice, is_last=True)

    async def _send(self, body: bytes, *, is_last: bool = False) -> None:
        async with asyncio.timeout(_STALLED_S):
            await self._send_message(
                {"type": "http.response.body", "body": body, "more_body": not is_last}
            )
        self._sent_at = self._now()


def _parts(frames: Sequence[bytes]) -> Iterator[bytes]:
    for start in range(0, len(frames), _MOST_FRAMES):
        yield b"".join(frames[start : start + _MOST_FRAMES])
