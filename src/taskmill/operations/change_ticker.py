"""Notifies the open pages of a process that something has changed, at most once a second.

The feed hands out each change, which is more than a page can use: a page is rendered again when something has
changed, and a thousand changes in a second are one. So one reader polls the end of the feed, and the version of
each watched task, once a second and only while somebody watches. Its cost does not depend on how much changes.
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
# For what makes no change: leases, waiting times, the broker.
_MAX_INTERVAL_S = 5.0
_TIMEOUT_S = 3.0
_RETRY_AFTER_S = 5.0


class Tick(StrEnum):
    """What a watcher is notified of."""

    CHANGED = "changed"
    AWAY = "away"
    OVER = "over"


@dataclass(eq=False, slots=True)
class Watcher:
    """Watches one task, or (None) the whole system."""

    task_id: UUID | None
    notified_at: float = -inf
    _tick: Tick | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def notify(self, tick: Tick) -> None:
        """Set the next tick; it replaces one that was not taken yet."""
        if self._tick is not Tick.OVER:
            self._tick = tick
            self._woken.set()

    async def next(self, timeout_s: float) -> Tick | None:
        """Return the next tick, None when there is none within `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return None
        tick = self._tick
        if tick is not Tick.OVER:
            self._woken.clear()
        return tick


class ChangeTicker:
    """A service: the shared reader, and `watching` to follow it."""

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
        """Open a watcher. Raises `Unavailable` when the process stops, or has too many."""
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
        """How often anything was seen to change; it stays the same while nobody watches."""
        return self._change_count

    def close(self) -> None:
        """Notify all watchers that it is over, and admit no new ones."""
        self._is_closed = True
        self._notify(Tick.OVER, self._watchers)

    async def run(self, stop: asyncio.Event) -> None:
        """Poll once a second while somebody watches, until `stop` is set."""
        async with wake_on(stop, self._end):
            while not stop.is_set():
                await self._wanted.wait()
                if not stop.is_set():
                    await self._poll()
                    await pause(stop, _TICK_S)

    def _end(self) -> None:
        self.close()
        self._wanted.set()

    async def _poll(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._poll_feed()
                await self._poll_tasks()
        except (TimeoutError, Unavailable, asyncpg.PostgresError) as error:
            log.info("change_ticker.missed", error=repr(error))
            # Whatever is read next counts as a change.
            self._head, self._stamps = None, {}
            self._notify(Tick.AWAY, self._watchers)

    async def _poll_feed(self) -> None:
        watchers = [one for one in self._watchers if one.task_id is None]
        if watchers:
            head = (await changes.bounds(self._database)).latest
            is_changed = head != self._head
            self._head = head
            self._change_count += is_changed
            self._notify_changed(watchers, is_changed=is_changed)

    async def _poll_tasks(self) -> None:
        by_task: dict[UUID, list[Watcher]] = {}
        for watcher in self._watchers:
            if watcher.task_id is not None:
                by_task.setdefault(watcher.task_id, []).append(watcher)
        before = self._stamps
        self._stamps = await watches.stamps(self._database, by_task) if by_task else {}
        for task_id, watchers in by_task.items():
            self._notify_changed(
                watchers, is_changed=self._stamps.get(task_id) != before.get(task_id)
            )

    def _notify_changed(self, watchers: Iterable[Watcher], *, is_changed: bool) -> None:
        """Notify all after a change, and else those that were not notified for long."""
        now = asyncio.get_running_loop().time()
        for watcher in watchers:
            if is_changed or now - watcher.notified_at >= _MAX_INTERVAL_S:
                watcher.notified_at = now
                watcher.notify(Tick.CHANGED)

    def _notify(self, tick: Tick, watchers: Iterable[Watcher]) -> None:
        for watcher in watchers:
            watcher.notify(tick)
