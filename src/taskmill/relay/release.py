"""Releases due tasks to the broker as hints: marks them, commits, then publishes.

The order matters: a hint that arrives before its mark is committed would find nothing to claim. A lost hint costs
its lifetime of ten seconds: after that the task counts as unreleased and is released again. The relay claims
nothing, and nothing depends on the broker's keeping a hint.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import HINT_TTL_S, HintQueueType
from taskmill.amqp.topology import QueueRefused
from taskmill.domain.errors import BrokerAway, Unavailable
from taskmill.observability import metrics
from taskmill.observability.logs import get_logger
from taskmill.relay.hints import HintPublisher, split
from taskmill.runtime.clock import Clock
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.periodic import pause
from taskmill.runtime.waiting import wake_on
from taskmill.storage import releases
from taskmill.storage.bucket_scan import BucketScan, FirstWaiting
from taskmill.storage.claims import Bucket
from taskmill.storage.database import Database
from taskmill.storage.releases import Capacity, HintQueue, Release, Workers

log = get_logger(__name__)

_LEAST_RELEASE_LIMIT = 200
_RELEASED_PER_SLOT = 4
_MOST_AT_ONCE = 1000
# While hint queues are at their limit: how soon to check whether workers have claimed.
_SHORTEST_PAUSE_S = 0.01
# How often to scan while the system is active; scheduled tasks are released when they are due.
_LONGEST_PAUSE_S = 0.2
_OUTAGE_PAUSE_S = 0.5
_WORKERS_HOLD_S = 1.0
# While there is more to release in known buckets, new buckets are scanned for this often.
_BUCKETS_HOLD_S = 0.1
_STARTS_HOLD_S = 10.0
_BUSY_S = 0.5
# Rows due up to this long before a bucket's first are always scanned.
_LATENESS = timedelta(seconds=1)
# Hint queues filled at a time, and hints that may await their confirms.
_HINT_QUEUES_AT_ONCE = 4
_MOST_UNCONFIRMED = 64


class Relay:
    """A service that keeps all hint queues filled up to their limits. Several may run at once."""

    name = "relay"

    def __init__(
        self,
        database: Database,
        *,
        broker_url: str,
        clock: Clock,
        hint_queues: HintQueueType,
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        self._idle_backoff = idle_backoff or IdleBackoff(clock)
        self._idle_backoff.on_wake(self.wake)
        self._database = database
        self._clock = clock
        self._woken = asyncio.Event()
        self.link = BrokerLink(broker_url, name="relay", opened=self._opened, lost=self.wake)
        self._publisher = HintPublisher(self.link, hint_queues)
        self._unconfirmed = asyncio.Semaphore(_MOST_UNCONFIRMED)
        # How often the connection was opened again, and the count at which all tasks were last released again.
        self._losses, self._rebuilt = 1, 0
        self._buckets: dict[Bucket, float] = {}
        self._buckets_read_at = self._workers_read_at = self._starts_reset_at = float("-inf")
        self._workers = Workers(())
        self._scan = BucketScan()
        self._starts: dict[Bucket, datetime] = {}
        self._released_at = float("-inf")

    def wake(self) -> None:
        """Scan at once: something may be due."""
        self._buckets_read_at = float("-inf")
        self._woken.set()

    @property
    def is_busy(self) -> bool:
        """Whether tasks were released within the last half second."""
        return self._clock.monotonic() - self._released_at < _BUSY_S

    async def run(self, stop: asyncio.Event) -> None:
        """Release until stopped; then wait for the confirms of hints in flight."""
        async with asyncio.TaskGroup() as group, wake_on(stop, self._woken.set):
            closing = asyncio.Event()
            group.create_task(self.link.run(closing))
            async with asyncio.TaskGroup() as publishing:
                await self._release_until(stop, publishing)
            closing.set()

    async def _opened(self, _: object) -> None:
        self._publisher.forget_queues()
        # The broker may have lost all earlier hints.
        self._losses += 1
        self.wake()

    async def _release_until(self, stop: asyncio.Event, publishing: asyncio.TaskGroup) -> None:
        pause_s = _SHORTEST_PAUSE_S
        while not stop.is_set():
            self._woken.clear()
            if not self.link.is_up:
                await self._sleep(_LONGEST_PAUSE_S)
                continue
            released = is_more = None
            try:
                released, is_more = await self._round(publishing)
            except* (Unavailable, asyncpg.PostgresError) as group:
                log.warning("release.failed", error=_first_error(group))
            if released is None:
                await pause(stop, _OUTAGE_PAUSE_S)
                continue
            pause_s = _SHORTEST_PAUSE_S if released else min(pause_s * 2, _LONGEST_PAUSE_S)
            await self._sleep(pause_s if is_more else self._until_next_due())

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    def _until_next_due(self) -> float:
        if not self._scan.is_at_end:
            return _SHORTEST_PAUSE_S
        now = self._clock.monotonic()
        upcoming = min(self._buckets.values(), default=float("inf"))
        if upcoming > now and not self._scan.has_others_due:
            longest_s = _LONGEST_PAUSE_S
            if self._scan.is_complete:  # else another scan may find an earlier one
                longest_s = self._idle_backoff.pause_s(_LONGEST_PAUSE_S)
            return min(max(upcoming - now, 0.001), longest_s)
        # What is due waits for workers, or its hints are out already.
        later = min((due_at for due_at in self._buckets.values() if due_at > now), default=now + 1)
        return min(max(later - now, 0.001), _LONGEST_PAUSE_S)

    async def _round(self, publishing: asyncio.TaskGroup) -> tuple[int, bool]:
        """Release in every hint queue; return how many tasks, and whether more are due."""
        if self._rebuilt < self._losses:
            # Set afterwards: it may fail, and the broker may be lost again meanwhile.
            losses = self._losses
            forgotten = await releases.unmark_all(self._database)
            self._rebuilt = losses
            if forgotten:
                log.info("release.rebuilt", tasks=forgotten)
        hint_queues = await self._due_hint_queues()
        limit = asyncio.Semaphore(_HINT_QUEUES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            fills = [
                group.create_task(self._fill(hint_queue, buckets, limit, publishing))
                for hint_queue, buckets in hint_queues.items()
            ]
        done = [fill.result() for fill in fills]
        if any(one.task_ids for one in done):
            self._released_at = self._clock.monotonic()
        metrics.TASKS_RELEASED.inc(sum(len(one.task_ids) for one in done))
        metrics.TASKS_RELEASED_AGAIN.inc(sum(one.again for one in done))
        metrics.WINDOW_TASKS.set(sum(one.outstanding for one in done))
        return sum(len(one.task_ids) for one in done), any(one.remaining for one in done)

    async def _due_hint_queues(self) -> dict[HintQueue, list[Bucket]]:
        """Return the hint queues that have due tasks and workers, and their buckets, most urgent first."""
        now = self._clock.monotonic()
        if now - self._workers_read_at > _WORKERS_HOLD_S:
            self._workers = await Workers.read(self._database)
            self._workers_read_at = now
        if now - self._buckets_read_at > _BUCKETS_HOLD_S or not self._scan.is_at_end:
            firsts = await self._scan.scan(self._database, types=self._workers.types)
            scanned_at = self._clock.monotonic()
            self._buckets = {
                bucket: scanned_at + first.due_in_s for bucket, first in firsts.items()
            }
            self._buckets_read_at = now
            self._move_back(firsts)
        if now - self._starts_reset_at > _STARTS_HOLD_S:
            self._starts.clear()
            self._starts_reset_at = now
        hint_queues: dict[HintQueue, list[Bucket]] = {}
        now = self._clock.monotonic()
        due = [bucket for bucket, due_at in self._buckets.items() if due_at <= now]
        for bucket in sorted(due, key=lambda bucket: -bucket.priority):
            hint_queue = HintQueue(queue=bucket.queue, type=bucket.type)
            if self._workers.of(hint_queue).workers:
                hint_queues.setdefault(hint_queue, []).append(bucket)
        return hint_queues

    def _move_back(self, firsts: Mapping[Bucket, FirstWaiting]) -> None:
        """Start earlier in buckets that have a new task which is due before those already seen."""
        for bucket in self._starts.keys() & firsts.keys():
            self._starts[bucket] = min(self._starts[bucket], firsts[bucket].run_at - _LATENESS)

    async def _fill(
        self,
        hint_queue: HintQueue,
        buckets: Iterable[Bucket],
        limit: asyncio.Semaphore,
        publishing: asyncio.TaskGroup,
    ) -> Release:
        capacity = self._workers.of(hint_queue)
        async with limit:
            done = await releases.release(
                self._database,
                hint_queue,
                release_limit=max(_LEAST_RELEASE_LIMIT, _RELEASED_PER_SLOT * capacity.slots),
                most=_MOST_AT_ONCE,
                life_s=HINT_TTL_S,
                buckets=[(bucket, self._starts.get(bucket)) for bucket in buckets],
            )
            self._starts.update(
                (bucket, first - _LATENESS) for bucket, first in done.firsts.items()
            )
            await self._publish_hints(hint_queue, done.task_ids, capacity, publishing)
        return done

    async def _publish_hints(
        self,
        hint_queue: HintQueue,
        task_ids: Sequence[UUID],
        capacity: Capacity,
        publishing: asyncio.TaskGroup,
    ) -> None:
        for hint in split(task_ids, workers=capacity.workers, slots=capacity.slots):
            await self._unconfirmed.acquire()
            publishing.create_task(self._publish(hint_queue, hint))

    async def _publish(self, hint_queue: HintQueue, task_ids: Sequence[UUID]) -> None:
        try:
            await self._publisher.publish(hint_queue, task_ids)
        except BrokerAway as error:
            log.warning(
                "hint.unpublished", queue=hint_queue.queue, type=hint_queue.type, trouble=str(error)
            )
            # A queue that is refused now will be refused again at once: its marks expire by themselves.
            if not isinstance(error, QueueRefused):
                await self._unmark(task_ids)
        finally:
            self._unconfirmed.release()

    async def _unmark(self, task_ids: Sequence[UUID]) -> None:
        try:
            await releases.unmark(self._database, task_ids)
        except (Unavailable, asyncpg.PostgresError) as error:
            # The mark expires by itself.
            log.warning("release.failed", error=str(error))


def _first_error(group: BaseExceptionGroup[BaseException]) -> str:
    """Return the message of the first error in a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
