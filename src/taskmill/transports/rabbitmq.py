"""The transport over RabbitMQ: hints name the tasks to claim, and PostgreSQL decides.

A hint is acknowledged when its claim has committed, long before handlers end: nothing at the broker depends on how
long a task runs. While the broker is away, or no hints arrive though tasks are due, `fallback` claims straight
from PostgreSQL; without one the worker waits.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from uuid import UUID

import asyncpg

from taskmill.amqp.connection import BROKER_ERRORS, BrokerLink
from taskmill.amqp.names import HintQueueType, hint_queue_name
from taskmill.domain.errors import BrokerAway, Unavailable
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.waiting import wake_on
from taskmill.storage import claims, releases
from taskmill.storage.bucket_scan import MOST_BUCKETS, BucketScan
from taskmill.storage.claims import TakenTask
from taskmill.storage.database import Database
from taskmill.transports.base import Transport
from taskmill.transports.subscriptions import Subscriptions

log = get_logger(__name__)

# How often to check for buckets without a subscription and for lost consumers, and the shortest interval.
_WATCH_S = 1.0
_BUCKETS_HOLD_S = 0.1
# A notification also makes the relay scan, whose work is more urgent than subscribing to a new bucket: so the
# worker waits a moment. But tasks that others claim within that moment are never seen here: every eighth time it
# scans at once, and so subscribes to the buckets that others serve.
_MIN_INTERVAL_S = 0.01
_INTERVALS = 7
# Overdue tasks, free slots and no hint for this long: the relay is away, or another worker holds the hints.
_TIMEOUT_S = 3.0
# A worker that has had no free slot for this long returns its prefetched hints.
_FULL_S = 0.5


class RabbitTransport:
    """Claims the tasks that hints name. It is also a service: `run` keeps the connection and the subscriptions."""

    name = "hints"

    def __init__(
        self,
        database: Database,
        *,
        broker_url: str,
        worker: str,
        queues: Mapping[str, int],
        types: Iterable[str] | None,
        fallback: Transport | None,
        clock: Clock,
        hint_queues: HintQueueType,
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        """Serve these queues with these weights (if empty all, equally), and these types (None: all)."""
        self._database = database
        self._worker = worker
        self._weights = dict(queues)
        self._queues = frozenset(queues) or None
        self._types = None if types is None else frozenset(types)
        self._fallback = fallback
        self._clock = clock
        self._subscriptions = Subscriptions(self._on_change, hint_queues)
        self.link = BrokerLink(
            broker_url, name="worker", opened=self._subscriptions.open_on, lost=self._on_loss
        )
        # Ids of hints that were acknowledged after only a part of them was claimed.
        self._held: list[UUID] = []
        self._woken = asyncio.Event()
        self._changed = asyncio.Event()
        self._unsettled = asyncio.Event()
        self._is_settling = False
        self._full_since: float | None = None
        self._idle_since: float | None = None
        self._hints_missing = False
        self._buckets_wanted = True
        self._buckets_read_at = float("-inf")
        self._scan = BucketScan()
        # The hint queues that scans have found since the last complete one, each with its share.
        self._found: dict[str, float] = {}
        self._first_due_in_s = 0.0
        self._idle_backoff = idle_backoff or IdleBackoff(clock)
        self._idle_backoff.on_wake(self.wake)

    async def take(self, lease_id: UUID, limit: int) -> list[TakenTask]:
        """Claim up to `limit` of the tasks that hints have named; an empty list says nothing about what is due."""
        self._woken.clear()
        self._full_since = None
        ids = self._next_ids(limit)
        if ids:
            return await self._claim(lease_id, ids)
        # Hints may name no task: unacknowledged, they would use up the prefetch.
        await self._acknowledge()
        if not self._subscriptions.are_complete:
            self._changed.set()
        if self._fallback is None or not self._needs_fallback:
            return []
        return await self._fallback.take(lease_id, limit)

    @property
    def has_scanned(self) -> bool:
        """Never: only the relay knows what is due."""
        return False

    async def wait(self) -> None:
        """Wait for a hint, or as the fallback does while it is needed."""
        if self._held or self._subscriptions.has_arrived:
            return
        if self._idle_since is None:
            self._idle_since = self._clock.monotonic()
        if self._fallback is not None and self._needs_fallback:
            await self._fallback.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_WATCH_S):
                await self._woken.wait()

    @property
    def _needs_fallback(self) -> bool:
        """Whether tasks may be due for which no hint arrives."""
        return self._hints_missing or not self.link.is_up or self._subscriptions.has_refused

    def wake(self) -> None:
        """End the wait, and scan for new buckets: there was a notification."""
        self._woken.set()
        self._buckets_wanted = True
        self._changed.set()
        if self._fallback is not None:
            self._fallback.wake()

    def suspend(self) -> None:
        """Return hints that were not taken, unless there is a `take` soon."""
        self._idle_since = None
        if self._full_since is None:
            self._full_since = self._clock.monotonic()
            self._changed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected and subscribed until stopped; then release the tasks that are held."""
        async with asyncio.TaskGroup() as group:
            closing = asyncio.Event()
            group.create_task(self.link.run(closing))
            group.create_task(self._settle_until(closing))
            await self._watch_until(stop)
            with suppress(Unavailable, asyncpg.PostgresError):
                await releases.unmark(self._database, self._held)
            closing.set()
            self._unsettled.set()

    def _next_ids(self, limit: int) -> list[UUID]:
        """Return held ids, then those of new hints; the remaining ids of the last hint are held."""
        ids, self._held = self._held[:limit], self._held[limit:]
        while len(ids) < limit and (more := self._subscriptions.take()) is not None:
            ids += more
        if len(ids) > limit:
            ids, self._held = ids[:limit], ids[limit:]
        return ids

    async def _claim(self, lease_id: UUID, ids: list[UUID]) -> list[TakenTask]:
        self._idle_since = None
        try:
            taken = await claims.take_hinted(
                self._database,
                lease_id=lease_id,
                worker=self._worker,
                task_ids=ids,
                types=self._types,
                queues=self._queues,
            )
        except BaseException:
            self._held = ids + self._held
            raise
        await self._acknowledge()
        return taken

    async def _acknowledge(self) -> None:
        try:
            await self._subscriptions.acknowledge()
        except BROKER_ERRORS as error:
            # They are delivered again, and then name nothing that can be claimed.
            log.info("hint.unacknowledged", error=str(error))

    def _on_change(self) -> None:
        if self._subscriptions.has_arrived:
            if self._hints_missing:
                self._hints_missing = False
                log.info("hints.resumed", worker=self._worker)
            self._woken.set()
            if self._fallback is not None:
                self._fallback.wake()
        else:
            self._changed.set()

    def _on_loss(self) -> None:
        self._subscriptions.lose()
        self._hints_missing = False
        self.wake()

    async def _watch_until(self, stop: asyncio.Event) -> None:
        intervals = 0
        async with wake_on(stop, self._changed.set):
            while not stop.is_set():
                self._changed.clear()
                try:
                    await self._refresh_buckets()
                except (Unavailable, asyncpg.PostgresError) as error:
                    log.debug("buckets.unknown", error=str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._until_next_scan()):
                        await self._changed.wait()
                intervals = (intervals + 1) % (_INTERVALS + 1)
                if intervals and not stop.is_set():
                    await asyncio.sleep(_MIN_INTERVAL_S)

    def _until_next_scan(self) -> float:
        keeps_any = bool(self._held) or not self._subscriptions.is_empty
        if self._full_since is not None and keeps_any and not self._is_settling:
            return max(self._full_since + _FULL_S - self._clock.monotonic(), 0.001)
        if self._buckets_wanted:
            return _BUCKETS_HOLD_S
        # There is no use in scanning before a known task could be overdue.
        return min(self._idle_backoff.pause_s(_WATCH_S), max(self._first_due_in_s, _WATCH_S))

    async def _refresh_buckets(self) -> None:
        """Scan for buckets that this worker serves. It does not wait for the broker, which may be frozen."""
        if not self.link.is_up:
            return
        now = self._clock.monotonic()
        if self._full_since is None and now - self._buckets_read_at >= _BUCKETS_HOLD_S:
            self._buckets_wanted = False
            self._buckets_read_at = now
            await self._read_buckets(now)
        self._unsettled.set()

    async def _settle_until(self, stop: asyncio.Event) -> None:
        """Update the subscriptions whenever what is wanted may have changed."""
        while not stop.is_set():
            await self._unsettled.wait()
            self._unsettled.clear()
            self._is_settling = True
            try:
                await self._settle()
            except (Unavailable, asyncpg.PostgresError) as error:
                log.debug("buckets.unknown", error=str(error))
            except (BrokerAway, *BROKER_ERRORS) as error:
                if not stop.is_set():
                    log.info("subscription.failed", worker=self._worker, error=str(error))
                    self.link.reopen()
            self._is_settling = False

    async def _settle(self) -> None:
        """Subscribe to what is wanted; or return hints while there is no free slot."""
        if not self.link.is_up:
            return
        if self._full_since is None:
            await self._subscriptions.refresh(self.link)
        elif self._clock.monotonic() - self._full_since >= _FULL_S:
            await self._give_back()

    async def _give_back(self) -> None:
        """Return everything that others could run: hints, and the held ids of a hint."""
        await self._subscriptions.suspend()
        held, self._held = self._held, []
        await releases.unmark(self._database, held)

    async def _read_buckets(self, now: float) -> None:
        buckets = await self._scan.scan(self._database, types=self._types, queues=self._queues)
        self._want(
            {
                hint_queue_name(bucket.queue, bucket.type): self._share(bucket.queue)
                for bucket in buckets
            }
        )
        if not self._scan.is_at_end:
            self._buckets_wanted = True
        due_in_s = [first.due_in_s for first in buckets.values()]
        self._first_due_in_s = min(due_in_s, default=float("inf"))
        self._check_hints(now, overdue=any(s < -_TIMEOUT_S for s in due_in_s))

    def _want(self, found: Mapping[str, float]) -> None:
        """Subscribe to the queues found, and if the scan was incomplete also to those found before it.

        The number of names is unbounded: beyond a limit those of earlier scans are dropped.
        """
        are_many = len(self._found) + len(found) > MOST_BUCKETS
        self._found = {**({} if self._scan.is_complete or are_many else self._found), **found}
        self._subscriptions.want(self._found)

    def _share(self, queue: str) -> float:
        """Return a queue's weight as a share of the largest."""
        return self._weights.get(queue, 1) / max(self._weights.values(), default=1)

    def _check_hints(self, now: float, *, overdue: bool) -> None:
        is_idle = self._idle_since is not None and now - self._idle_since > _TIMEOUT_S
        if overdue and is_idle and self._fallback is not None and not self._hints_missing:
            self._hints_missing = True
            log.warning("hints.missing", worker=self._worker)
            self.wake()
