"""Listeners of the feed: streams of changes, and watches of one task. The feed reads for them."""

import asyncio
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

import asyncpg

from taskmill.domain.errors import ChangesForgotten, Unavailable
from taskmill.domain.feed import START, Change, Cursor, FeedFilter, FeedPage
from taskmill.observability.logs import get_logger
from taskmill.wire.feed import change_frame

log = get_logger(__name__)

# The most events that are sent at once: what is on the way to a slow client stays in memory.
_MOST_AT_ONCE = 200
_OUTAGE_PAUSE_S = 1.0
# Of what waits in memory for one stream; usual changes have about a thousand bytes.
_MOST_WAITING_BYTES = 64 * 1024**2


class End(StrEnum):
    """Why a stream ends; the client is sent these words."""

    STOPPING = "this server stops"
    SLOW = "too slow: more changes wait than are kept for one stream"
    FORGOTTEN = "the changes that follow are no longer kept"
    GONE = "the client left"


_AT_ONCE = frozenset({End.STOPPING, End.GONE})


class RenderedChange:
    """A change that was handed out; it is rendered once, when a stream first needs it."""

    __slots__ = ("_frame", "change", "size")

    def __init__(self, change: Change) -> None:
        self.change = change
        # Twice, as text and as bytes, and a constant for the rest.
        error = change.event.error or ""
        self.size = 2 * (len(change.labels) + len(change.name) + len(error)) + 1000
        self._frame: bytes | None = None

    @property
    def frame(self) -> bytes:
        """The change as a server-sent event."""
        if self._frame is None:
            self._frame = change_frame(self.change)
        return self._frame


class StreamBatch(NamedTuple):
    """What a stream sends next: server-sent events, the cursor after them, and whether it has caught up.

    `changes` are what the events are about, for who sends something else.
    """

    frames: list[bytes]
    cursor: Cursor
    is_live: bool
    changes: Sequence[Change] = ()


class ChangeSource(Protocol):
    """Where a stream gets its changes from."""

    @property
    def cursor(self) -> Cursor:
        """The cursor after everything that was handed out."""
        ...

    async def next_page(self, after: Cursor, timeout_s: float) -> FeedPage:
        """Read what follows a cursor. Raises `TimeoutError` when it waited too long."""
        ...

    def attach(self, stream: "Stream") -> bool:
        """Hand out to a stream from now on, if it has everything before."""
        ...


class Stream:
    """The changes that one client wants, in order: first read page by page, then as they are handed out."""

    def __init__(self, source: ChangeSource, wanted: FeedFilter, *, limit: int) -> None:
        self.wanted = wanted
        self.cursor = START
        self.end: End | None = None
        self._source = source
        self._limit = limit
        self._waiting: deque[RenderedChange] = deque()
        self._waiting_bytes = 0
        self._is_live = False
        self._woken = asyncio.Event()

    def offer(self, rendered: RenderedChange) -> None:
        """Take a change that was handed out, if it is wanted and new here. A stream too far behind ends."""
        if self.end is not None or rendered.change.cursor <= self.cursor:
            return
        if self.wanted.admits(rendered.change):
            if len(self._waiting) >= self._limit or self._waiting_bytes > _MOST_WAITING_BYTES:
                self.finish(End.SLOW)
                return
            self._waiting.append(rendered)
            self._waiting_bytes += rendered.size

    @property
    def has_more(self) -> bool:
        """Whether something waits to be taken."""
        return bool(self._waiting)

    def wake(self) -> None:
        """Wake it up: something was handed out."""
        self._woken.set()

    def finish(self, why: End) -> None:
        """End it after what waits has been sent; when the server stops there is no time for that."""
        self.end = self.end or why
        if why in _AT_ONCE:
            self._waiting.clear()
            self._waiting_bytes = 0
        self._woken.set()

    async def next(self, timeout_s: float) -> StreamBatch:
        """Return what comes next, within `timeout_s` seconds; an empty batch, too, may move the cursor.

        After an empty batch the stream is over if it has an `end`.
        """
        if not self._is_live and self.end is None:
            self._is_live = self._source.attach(self)
            return self._take() if self._is_live else await self._catch_up(timeout_s)
        if not self._waiting and self.end is None:
            await self._wait(timeout_s)
        return self._take()

    async def _wait(self, timeout_s: float) -> None:
        self._woken.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return

    def _take(self) -> StreamBatch:
        count = min(len(self._waiting), _MOST_AT_ONCE)
        taken = [self._waiting.popleft() for _ in range(count)]
        self._waiting_bytes -= sum(rendered.size for rendered in taken)
        if self._waiting or self.end is not None:
            reached = taken[-1].change.cursor if taken else self.cursor
        else:
            reached = self._source.cursor
        self.cursor = max(self.cursor, reached)
        return StreamBatch(
            [rendered.frame for rendered in taken],
            self.cursor,
            self._is_live and not self._waiting,
            [rendered.change for rendered in taken],
        )

    async def _catch_up(self, timeout_s: float) -> StreamBatch:
        try:
            page = await self._source.next_page(self.cursor, timeout_s)
        except TimeoutError:
            return StreamBatch([], self.cursor, is_live=False)
        except ChangesForgotten:
            self.finish(End.FORGOTTEN)
            return StreamBatch([], self.cursor, is_live=False)
        except (Unavailable, asyncpg.PostgresError) as error:
            log.info("stream.delayed", cursor=str(self.cursor), error=repr(error))
            await self._wait(_OUTAGE_PAUSE_S)
            return StreamBatch([], self.cursor, is_live=False)
        self.cursor = max(self.cursor, page.cursor)
        changes = [change for change in page.changes if self.wanted.admits(change)]
        frames = [change_frame(change) for change in changes]
        return StreamBatch(frames, self.cursor, is_live=False, changes=changes)


class Watch:
    """Waits for changes of a task."""

    def __init__(self) -> None:
        self.is_over = False
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Report a change."""
        self._changed.set()

    def finish(self) -> None:
        """Report that no more changes will be reported."""
        self.is_over = True
        self._changed.set()

    async def wait(self, timeout_s: float) -> None:
        """Return after a change since the last call, or when the watch is over, or time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()
