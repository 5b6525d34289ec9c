"""The live feed of one process: one reader of the database for all listeners.

The reader runs while there are listeners. It hands out what it reads in memory, and each change is rendered once.
A stream with an older cursor reads pages of its own until it has caught up with the reader, which keeps its recent
changes so that there is neither a gap nor a duplicate. The API decides how a stream looks on the wire.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain
from typing import TypeVar
from uuid import UUID

import asyncpg

from taskmill.domain.errors import BadCursor, ChangesForgotten, Unavailable
from taskmill.domain.feed import OLDEST, START, Change, Cursor, FeedFilter, FeedPage
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import (
    FEED_READ,
    FEED_STREAMS,
    FEED_STREAMS_ENDED,
    FEED_WATCHES,
)
from taskmill.operations.listeners import End, RenderedChange, Stream, Watch
from taskmill.operations.visibility import current_visibility
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.runtime.waiting import wake_on
from taskmill.settings import FeedSettings
from taskmill.storage import changes
from taskmill.storage.database import Database

log = get_logger(__name__)

Key = TypeVar("Key")
Item = TypeVar("Item")

_PAGE = 1000
# A stream that catches up renders its own changes: few at a time, so that other requests are served in between.
_CATCH_UP_PAGE = 300
# The reader's pause after it has read everything.
_POLL_S = 0.1
_LONGEST_PAUSE_S = 2.0
# 200 streams that send at once would block the loop for 10 ms; so they are woken in groups.
_WOKEN_AT_ONCE = 8
_MIN_INTERVAL_S = 0.001
# A thousand changes for a thousand streams would block the loop for 0.2 s.
_HANDED_AT_ONCE = 100
# Recent changes, for streams that come back: the limit of their number and bytes.
_RECENT = 10_000
_RECENT_BYTES = 64 * 1024**2
# Pages that streams share while they catch up: after an outage there are hundreds of them.
_CACHED_PAGES = 32
# Streams that catch up at the same time share the pool with everything else.
_CATCH_UPS = 2
_RETRY_AFTER_S = 5.0
_AWAY = (Unavailable, asyncpg.PostgresError)


class Feed:
    """A service: the shared reader, and `listening` and `watching` to follow it."""

    name = "feed"

    def __init__(
        self,
        database: Database,
        settings: FeedSettings,
        *,
        retained_days: int,
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        self._idle_backoff = idle_backoff or IdleBackoff(SystemClock())
        self._database = database
        self._settings = settings
        self._retained_days = retained_days
        self._streams: set[Stream] = set()
        self._watches: dict[UUID, set[Watch]] = {}
        self._watching = 0
        self._by_task: dict[UUID, set[Stream]] = {}
        self._by_queue: dict[str, set[Stream]] = {}
        self._others: set[Stream] = set()
        self._recent: deque[RenderedChange] = deque()
        self._recent_bytes = 0
        self._cached_pages: deque[tuple[Cursor, FeedPage]] = deque(maxlen=_CACHED_PAGES)
        # After which change `_recent` begins, and up to where changes were handed out, once started.
        self._floor = self._cursor = START
        self._started = asyncio.Event()
        self._wanted = asyncio.Event()
        self._is_closed = False
        self._catch_ups = asyncio.Semaphore(_CATCH_UPS)

    async def run(self, stop: asyncio.Event) -> None:
        """Read while there are listeners, until `stop` is set; then all streams end."""
        async with wake_on(stop, self._end):
            while not stop.is_set():
                await self._wanted.wait()
                await self._follow(stop)

    def close(self) -> None:
        """End all streams and watches soon, and admit no new ones."""
        self._is_closed = True
        for stream in self._streams:
            stream.finish(End.STOPPING)
        for watch in chain.from_iterable(self._watches.values()):
            watch.finish()

    @asynccontextmanager
    async def listening(self, wanted: FeedFilter, after: Cursor | None) -> AsyncIterator[Stream]:
        """Open a stream of the changes that follow `after`, or of those from now on, that this context may see.

        Raises:
            ChangesForgotten: some of them are no longer kept.
            BadCursor: the feed has not reached it yet.
            Unavailable: the database is away, the process stops, or it has too many streams.
        """
        if self._is_closed or len(self._streams) >= self._settings.streams:
            raise Unavailable(_RETRY_AFTER_S, "another stream of this process")
        visible = replace(wanted, visibility=current_visibility())
        stream = Stream(self, visible, limit=self._settings.buffer)
        self._streams.add(stream)
        FEED_STREAMS.inc()
        try:
            await self._wait_until_started()
            stream.cursor = self._cursor if after is None else await self._checked(after)
            yield stream
        finally:
            self._streams.discard(stream)
            FEED_STREAMS.dec()
            FEED_STREAMS_ENDED.labels(
                "other" if stream.end is None else stream.end.name.lower()
            ).inc()
            self._unindex(stream)
            self._has_listeners()

    @asynccontextmanager
    async def watching(self, task_id: UUID) -> AsyncIterator[Watch | None]:
        """Open a watch of one task's changes from now on; None when there are too many."""
        if self._is_closed or self._watching >= self._settings.streams:
            yield None
            return
        watch = Watch()
        self._watching += 1
        FEED_WATCHES.inc()
        self._watches.setdefault(task_id, set()).add(watch)
        try:
            await self._wait_until_started()
            yield watch
        finally:
            self._watching -= 1
            FEED_WATCHES.dec()
            _discard(self._watches, task_id, watch)
            self._has_listeners()

    async def next_page(self, after: Cursor, timeout_s: float) -> FeedPage:
        """Read what follows a cursor, for a stream that catches up.

        Raises:
            TimeoutError: too many other streams caught up for `timeout_s` seconds.
            ChangesForgotten, Unavailable: as `changes.read` does.
        """
        async with asyncio.timeout(timeout_s):
            await self._catch_ups.acquire()
        try:
            page = self._cached_page(after)
            if page is None:
                page = await changes.read(self._database, after, _CATCH_UP_PAGE)
                if not page.is_last:
                    self._cached_pages.append((after, page))
            else:
                await asyncio.sleep(0)
            return page
        finally:
            self._catch_ups.release()

    def _cached_page(self, after: Cursor) -> FeedPage | None:
        """Return the part after `after` of a page that another stream has read."""
        for begin, page in self._cached_pages:
            if begin <= after < page.cursor:
                remaining = [change for change in page.changes if change.cursor > after]
                return page._replace(changes=remaining)
        return None

    def attach(self, stream: Stream) -> bool:
        """Let a stream continue with the reader; False while it lacks changes that are no longer recent."""
        if not (self._started.is_set() and self._floor <= stream.cursor):
            return False
        missed = []
        for rendered in reversed(self._recent):
            if rendered.change.cursor <= stream.cursor:
                break
            missed.append(rendered)
        if len(missed) > self._settings.buffer:
            return False
        for rendered in reversed(missed):
            stream.offer(rendered)
        self._index(stream)
        return True

    @property
    def cursor(self) -> Cursor:
        """The cursor after everything that was handed out."""
        return self._cursor

    def _end(self) -> None:
        self.close()
        self._wanted.set()

    async def _wait_until_started(self) -> None:
        self._wanted.set()
        await self._started.wait()

    def _has_listeners(self) -> bool:
        has_some = bool(self._streams or self._watching)
        if not has_some:
            self._wanted.clear()
        return has_some

    async def _checked(self, after: Cursor) -> Cursor:
        """Return where to begin for a client's cursor."""
        if self._floor <= after <= self._cursor:
            return after
        bounds = await changes.bounds(self._database)
        if after == OLDEST:
            return START if bounds.oldest is None else Cursor(bounds.oldest, 0)
        if after.position > (bounds.latest or START).position:
            expected = "a cursor that this feed has given"
            got = "one that it has not reached yet"
            raise BadCursor(got, pointer="query:after", expected=expected)
        # The first batch ever has position 1.
        if max(after.position, 1) < (bounds.oldest or 1):
            raise ChangesForgotten(str(after), self._retained_days)
        return after

    async def _follow(self, stop: asyncio.Event) -> None:
        """Read while there are listeners; then forget all, and begin at the present the next time."""
        failures = 0
        while self._has_listeners() and not stop.is_set():
            try:
                is_more = await self._read_on()
                failures = 0
            except _AWAY as error:
                is_more, failures = False, failures + 1
                log.warning("feed.delayed", failures=failures, error=repr(error))
            except ChangesForgotten:
                log.warning("feed.torn", cursor=str(self._cursor))
                self._end_forgotten()
                continue
            except Exception as error:
                # Such as when a newer program writes what this one does not know.
                is_more, failures = False, failures + 1
                log.exception("feed.failed", failures=failures, error=repr(error))
            if failures:
                await pause(stop, backoff_s(failures, first=_POLL_S, longest=_LONGEST_PAUSE_S))
            elif not is_more:
                await self._idle_backoff.pause(_POLL_S, stop)
        self._forget()

    async def _read_on(self) -> bool:
        """Read and hand out a page; True when there is more."""
        if not self._started.is_set():
            _, latest = await changes.bounds(self._database)
            self._floor = self._cursor = latest or START
            self._started.set()
        page = await changes.read(self._database, self._cursor, _PAGE)
        for start in range(0, len(page.changes), _HANDED_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for change in page.changes[start : start + _HANDED_AT_ONCE]:
                self._hand_out(RenderedChange(change))
                self._cursor = change.cursor
        FEED_READ.inc(len(page.changes))
        self._cursor = page.cursor
        await self._wake_streams()
        return not page.is_last

    async def _wake_streams(self) -> None:
        """Have streams send what they got, a few at a time, so that other requests are served in between."""
        waiting = [stream for stream in self._streams if stream.has_more]
        for start in range(0, len(waiting), _WOKEN_AT_ONCE):
            if start:
                await asyncio.sleep(_MIN_INTERVAL_S)
            for stream in waiting[start : start + _WOKEN_AT_ONCE]:
                stream.wake()

    def _hand_out(self, rendered: RenderedChange) -> None:
        self._recent.append(rendered)
        self._recent_bytes += rendered.size
        while len(self._recent) > _RECENT or self._recent_bytes > _RECENT_BYTES:
            oldest = self._recent.popleft()
            self._recent_bytes -= oldest.size
            self._floor = oldest.change.cursor
        for stream in self._streams_for(rendered.change):
            stream.offer(rendered)
        for watch in self._watches.get(rendered.change.event.task_id, ()):
            watch.notify()

    def _streams_for(self, change: Change) -> Iterator[Stream]:
        yield from self._by_task.get(change.event.task_id, ())
        yield from self._by_queue.get(change.queue, ())
        yield from self._others

    def _index(self, stream: Stream) -> None:
        wanted = stream.wanted
        for task_id in wanted.tasks:
            self._by_task.setdefault(task_id, set()).add(stream)
        if not wanted.tasks:
            for queue in wanted.queues:
                self._by_queue.setdefault(queue, set()).add(stream)
        if not (wanted.tasks or wanted.queues):
            self._others.add(stream)

    def _unindex(self, stream: Stream) -> None:
        for task_id in stream.wanted.tasks:
            _discard(self._by_task, task_id, stream)
        for queue in stream.wanted.queues:
            _discard(self._by_queue, queue, stream)
        self._others.discard(stream)

    def _end_forgotten(self) -> None:
        """End all, since what follows is no longer kept. Clients that resume get an error that says so."""
        for stream in self._streams:
            stream.finish(End.FORGOTTEN)
        for watch in chain.from_iterable(self._watches.values()):
            watch.finish()
        self._forget()

    def _forget(self) -> None:
        self._started.clear()
        self._recent.clear()
        self._recent_bytes = 0
        self._cached_pages.clear()


def _discard(index: dict[Key, set[Item]], key: Key, item: Item) -> None:
    """Remove an item from an index, and its key when nothing is left."""
    items = index.get(key)
    if items is not None:
        items.discard(item)
        if not items:
            del index[key]
