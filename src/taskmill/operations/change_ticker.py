"""The change_ticker of one process: tells those who look that something has changed, at most once a second.

The feed hands out each change, which is more than a page can use: it is drawn anew when something has changed,
and a thousand changes in a second are one. So one reader looks, once a second and only while somebody watches,
how far the feed has come, and how far each task that is watched for itself. Its cost does not depend on how
much changes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from uuid import UUID

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.runtime.periodic import pause
from taskmill.runtime.waiting import wake_on
from taskmill.storage import changes, watches
from taskmill.storage.database import Database

log = get_logger(__name__)

MOST_WATCHES = 1000
_TICK_S = 1.0
# What no change tells of: leases, waiting times, the broker.
_LONGEST_SILENCE_S = 5.0
_TIMEOUT_S = 3.0
_RETRY_AFTER_S = 5.0


class Tick(StrEnum):
    """What a watcher is told."""

    CHANGED = "changed"
    AWAY = "away"
    OVER = "over"


@dataclass(eq=False, slots=True)
class Watcher:
    """Somebody who watches one task, or (None) the whole system."""

    task_id: UUID | None
    told_at: float = -inf
    _told: Tick | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, tick: Tick) -> None:
        """Have it know; what it was told before and has not taken is forgotten."""
        if self._told is not Tick.OVER:
            self._told = tick
            self._woken.set()

    async def next(self, timeout_s: float) -> Tick | None:
        """Return what comes next; None when nothing comes within `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return None
        told = self._told
        if told is not Tick.OVER:
            self._woken.clear()
        return told


class ChangeTicker:
    """A service: the shared reader, and the door to it, `watching`."""

    name = "change_ticker"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: set[Watcher] = set()
        self._wanted = asyncio.Event()
        self._is_closed = False
        self._head: object = None
        self._change_count = 0
        self._stamps: Mapping[UUID, object] = {}

    @asynccontextmanager
    async def watching(self, task_id: UUID | None) -> AsyncIterator[Watcher]:
        """Lend a watcher. Raises `Unavailable` when the process stops, or has as many as it may."""
        if self._is_closed or len(self._watchers) >= MOST_WATCHES:
            raise Unavailable(_RETRY_AFTER_S, "another open page of this process")
        watcher = Watcher(task_id)
        self._watchers.add(watcher)
        self._wanted.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._wanted.clear()

    @property
    def change_count(self) -> int:
        """How often there was news of anything; it stands still while nobody watches."""
        return self._change_count

    def close(self) -> None:
        """Tell all who watch that it is over, and let no new ones in."""
        self._is_closed = True
        self._tell(Tick.OVER, self._watchers)

    async def run(self, stop: asyncio.Event) -> None:
        """Look once a second while somebody watches, until told to stop."""
        async with wake_on(stop, self._end):
            while not stop.is_set():
                await self._wanted.wait()
                if not stop.is_set():
                    await self._look()
                    await pause(stop, _TICK_S)

    def _end(self) -> None:
        self.close()
        self._wanted.set()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._look_at_all()
                await self._look_at_tasks()
        except (TimeoutError, Unavailable, asyncpg.PostgresError) as error:
            log.info("change_ticker.missed", error=repr(error))
            # Whatever is read next is news.
            self._head, self._stamps = None, {}
            self._tell(Tick.AWAY, self._watchers)

    async def _look_at_all(self) -> None:
        watchers = [one for one in self._watchers if one.task_id is None]
        if watchers:
            head = (await changes.bounds(self._database)).latest
            is_news = head != self._head
            self._head = head
            self._change_count += is_news
            self._tell_news(watchers, is_news=is_news)

    async def _look_at_tasks(self) -> None:
        by_task: dict[UUID, list[Watcher]] = {}
        for watcher in self._watchers:
            if watcher.task_id is not None:
                by_task.setdefault(watcher.task_id, []).append(watcher)
        before = self._stamps
        self._stamps = await watches.stamps(self._database, by_task) if by_task else {}
        for task_id, watchers in by_task.items():
            self._tell_news(watchers, is_news=self._stamps.get(task_id) != before.get(task_id))

    def _tell_news(self, watchers: Iterable[Watcher], *, is_news: bool) -> None:
        """Tell all when there is news, and else those that have heard nothing for long."""
        now = asyncio.get_running_loop().time()
        for watcher in watchers:
            if is_news or now - watcher.told_at >= _LONGEST_SILENCE_S:
                watcher.told_at = now
                watcher.tell(Tick.CHANGED)

    def _tell(self, tick: Tick, watchers: Iterable[Watcher]) -> None:
        for watcher in watchers:
            watcher.tell(tick)
