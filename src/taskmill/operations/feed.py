"""The live feed of one process: one reader of the database for all who listen, however many they are.

The reader runs while somebody listens. What it reads is handed out in memory, each change made into bytes once.
Whoever comes with a cursor from before reads pages of its own until it meets the reader: what this one read
lately is kept, so that the two meet without a gap and without a double. How a stream looks on the wire is the
API's business.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
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
# A stream that catches up makes its own bytes: few at a time, so that others are answered in between.
_CATCH_UP_PAGE = 300
# The reader's pause when it has read all there is.
_POLL_S = 0.1
_LONGEST_PAUSE_S = 2.0
# 200 streams that send at once keep everybody else waiting for 10 ms; so they are woken in turns.
_WOKEN_AT_ONCE = 8
_MIN_INTERVAL_S = 0.001
# A thousand changes for a thousand streams keep everybody else waiting for 0.2 s.
_HANDED_AT_ONCE = 100
# What was read lately, for those who come back: so many changes, and so many bytes of them.
_RECENT = 10_000
_RECENT_BYTES = 64 * 1024**2
# Pages that were read for streams that catch up, for the others: after an outage there are hundreds of them.
_PAGES = 32
# Streams that catch up at the same time share the pool with everything else.
_CATCH_UPS = 2
_RETRY_AFTER_S = 5.0
_AWAY = (Unavailable, asyncpg.PostgresError)


class Feed:
    """A service: the shared reader, and the doors to it, `listening` and `watching`."""

    name = "feed"

    def __init__(
        self,
        database: Database,
        settings: FeedSettings,
        *,
        kept_days: int,
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        self._idle_backoff = idle_backoff or IdleBackoff(SystemClock())
        self._database = database
        self._settings = settings
        self._kept_days = kept_days
        self._streams: set[Stream] = set()
        self._watches: dict[UUID, set[Watch]] = {}
        self._watching = 0
        self._by_task: dict[UUID, set[Stream]] = {}
        self._by_queue: dict[str, set[Stream]] = {}
        self._others: set[Stream] = set()
        self._recent: deque[RenderedChange] = deque()
        self._recent_bytes = 0
        self._pages: deque[tuple[Cursor, FeedPage]] = deque(maxlen=_PAGES)
        # Behind which change `_recent` begins, and up to where was read and handed out, once started.
        self._floor = self._cursor = START
        self._started = asyncio.Event()
        self._wanted = asyncio.Event()
        self._is_closed = False
        self._catch_ups = asyncio.Semaphore(_CATCH_UPS)

    async def run(self, stop: asyncio.Event) -> None:
        """Read while somebody listens, until told to stop; then all streams end."""
        async with wake_on(stop, self._end):
            while not stop.is_set():
                await self._wanted.wait()
                await self._follow(stop)

    def close(self) -> None:
        """End all streams and watches soon, and let no new ones in."""
        self._is_closed = True
        for stream in self._streams:
            stream.finish(End.STOPPING)
        for watch in chain.from_iterable(self._watches.values()):
            watch.finish()

    @asynccontextmanager
    async def listening(self, wanted: FeedFilter, after: Cursor | None) -> AsyncIterator[Stream]:
        """Lend a stream of the changes that follow `after`, or of those from now on.

        Raises:
            ChangesForgotten: some of them are no longer kept.
            BadCursor: the feed has never been there.
            Unavailable: the database is away, the process stops, or it has as many streams as it may.
        """
        if self._is_closed or len(self._streams) >= self._settings.streams:
            raise Unavailable(_RETRY_AFTER_S, "another stream of this process")
        stream = Stream(self, wanted, limit=self._settings.buffer)
        self._streams.add(stream)
        FEED_STREAMS.inc()
        try:
            await self._is_started()
            stream.cursor = self._cursor if after is None else await self._checked(after)
            yield stream
        finally:
            self._streams.discard(stream)
            FEED_STREAMS.dec()
            FEED_STREAMS_ENDED.labels(
                "other" if stream.end is None else stream.end.name.lower()
            ).inc()
            self._unlist(stream)
            self._has_listeners()

    @asynccontextmanager
    async def watching(self, task_id: UUID) -> AsyncIterator[Watch | None]:
        """Lend a watch over one task's changes from now on; None when there can be no more of them."""
        if self._is_closed or self._watching >= self._settings.streams:
            yield None
            return
        watch = Watch()
        self._watching += 1
        FEED_WATCHES.inc()
        self._watches.setdefault(task_id, set()).add(watch)
        try:
            await self._is_started()
            yield watch
        finally:
            self._watching -= 1
            FEED_WATCHES.dec()
            _discard(self._watches, task_id, watch)
            self._has_listeners()

    async def next_page(self, after: Cursor, timeout_s: float) -> FeedPage:
        """Read what follows a cursor, for a stream that catches up.

        Raises:
            TimeoutError: it was not its turn within `timeout_s` seconds.
            ChangesForgotten, Unavailable: as `changes.read` does.
        """
        async with asyncio.timeout(timeout_s):
            await self._catch_ups.acquire()
        try:
            page = self._page_behind(after)
            if page is None:
                page = await changes.read(self._database, after, _CATCH_UP_PAGE)
                if not page.is_last:
                    self._pages.append((after, page))
            else:
                await asyncio.sleep(0)
            return page
        finally:
            self._catch_ups.release()

    def _page_behind(self, after: Cursor) -> FeedPage | None:
        """Return what is left of a page that another stream has read; so streams that catch up fall into step."""
        for begin, page in self._pages:
            if begin <= after < page.cursor:
                left = [change for change in page.changes if change.cursor > after]
                return page._replace(changes=left)
        return None

    def attach(self, stream: Stream) -> bool:
        """Let a stream go on with the reader; False while what it has not seen begins before that."""
        if not (self._started.is_set() and self._floor <= stream.cursor):
            return False
        missed = []
        for told in reversed(self._recent):
            if told.change.cursor <= stream.cursor:
                break
            missed.append(told)
        if len(missed) > self._settings.buffer:
            return False
        for told in reversed(missed):
            stream.offer(told)
        self._list(stream)
        return True

    @property
    def cursor(self) -> Cursor:
        """Up to where everything was handed out."""
        return self._cursor

    def _end(self) -> None:
        self.close()
        self._wanted.set()

    async def _is_started(self) -> None:
        self._wanted.set()
        await self._started.wait()

    def _has_listeners(self) -> bool:
        has_some = bool(self._streams or self._watching)
        if not has_some:
            self._wanted.clear()
        return has_some

    async def _checked(self, after: Cursor) -> Cursor:
        """Return where to begin for a cursor that somebody brought."""
        if self._floor <= after <= self._cursor:
            return after
        kept = await changes.bounds(self._database)
        if after == OLDEST:
            return START if kept.oldest is None else Cursor(kept.oldest, 0)
        if after.position > (kept.latest or START).position:
            expected = "a cursor that this feed has given"
            got = "one that it has not reached yet"
            raise BadCursor(got, pointer="query:after", expected=expected)
        # Before the first batch of all there is none.
        if max(after.position, 1) < (kept.oldest or 1):
            raise ChangesForgotten(str(after), self._kept_days)
        return after

    async def _follow(self, stop: asyncio.Event) -> None:
        """Read until nobody listens any more; then forget all, and begin at the present the next time."""
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
                self._tear()
                continue
            except Exception as error:
                # As when a newer program writes what this one does not know.
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
        """Have streams send what they got, a few at a time: other requests are answered in between."""
        waiting = [stream for stream in self._streams if stream.has_more]
        for start in range(0, len(waiting), _WOKEN_AT_ONCE):
            if start:
                await asyncio.sleep(_MIN_INTERVAL_S)
            for stream in waiting[start : start + _WOKEN_AT_ONCE]:
                stream.wake()

    def _hand_out(self, told: RenderedChange) -> None:
        self._recent.append(told)
        self._recent_bytes += told.size
        while len(self._recent) > _RECENT or self._recent_bytes > _RECENT_BYTES:
            oldest = self._recent.popleft()
            self._recent_bytes -= oldest.size
            self._floor = oldest.change.cursor
        for stream in self._concerned(told.change):
            stream.offer(told)
        for watch in self._watches.get(told.change.event.task_id, ()):
            watch.notice()

    def _concerned(self, change: Change) -> Iterator[Stream]:
        yield from self._by_task.get(change.event.task_id, ())
        yield from self._by_queue.get(change.queue, ())
        yield from self._others

    def _list(self, stream: Stream) -> None:
        wanted = stream.wanted
        for task_id in wanted.tasks:
            self._by_task.setdefault(task_id, set()).add(stream)
        if not wanted.tasks:
            for queue in wanted.queues:
                self._by_queue.setdefault(queue, set()).add(stream)
        if not (wanted.tasks or wanted.queues):
            self._others.add(stream)

    def _unlist(self, stream: Stream) -> None:
        for task_id in stream.wanted.tasks:
            _discard(self._by_task, task_id, stream)
        for queue in stream.wanted.queues:
            _discard(self._by_queue, queue, stream)
        self._others.discard(stream)

    def _tear(self) -> None:
        """End all: what follows is no longer there. Who resumes is told so."""
        for stream in self._streams:
            stream.finish(End.FORGOTTEN)
        for watch in chain.from_iterable(self._watches.values()):
            watch.finish()
        self._forget()

    def _forget(self) -> None:
        self._started.clear()
        self._recent.clear()
        self._recent_bytes = 0
        self._pages.clear()


def _discard(listed: dict[Key, set[Item]], key: Key, item: Item) -> None:
    """Take an item off a list, and the list away when it is empty."""
    items = listed.get(key)
    if items is not None:
        items.discard(item)
        if not items:
            del listed[key]
