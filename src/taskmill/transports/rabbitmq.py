"""The transport over RabbitMQ: hints say what to claim, and PostgreSQL decides.

A hint is acknowledged when its claim has committed, long before handlers end: nothing at the broker
depends on how long a task runs. While the broker is away, or hints fail to come though tasks are due, a
`fallback` claims straight from PostgreSQL; without one the worker waits.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from uuid import UUID

import asyncpg

from taskmill.amqp.connection import BROKER_ERRORS, BrokerLink
from taskmill.amqp.topology import HintQueueType, hint_queue_name
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

# How often to look for buckets without a subscription and for consumers that were lost, and how often at most.
_WATCH_S = 1.0
_BUCKETS_HOLD_S = 0.1
# When the notifier rings the relay looks, too, and what it finds is more urgent than a new bucket. But what others
# have claimed by then is not seen: every eighth time the worker looks at once, and soon serves what they serve.
_MIN_INTERVAL_S = 0.01
_INTERVALS = 7
# Overdue tasks, free slots and no hint for so long: the relay is away, or somebody sleeps on the hints.
_TIMEOUT_S = 3.0
# A worker that has had no free slot for so long gives back what the broker sent it ahead.
_FULL_S = 0.5


class RabbitTransport:
    """Claims what hints name. It is a service, too: `run` keeps the connection and the subscriptions."""

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
        """Serve these queues, by their weights (none named: all, alike), and types (None: all)."""
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
        # Ids of hints that were acknowledged when a part of them had been claimed.
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
        # Queues of hints that looks have found, each with its share, since one saw all or the round began.
        self._found: dict[str, float] = {}
        self._first_due_in_s = 0.0
        self._idle_backoff = idle_backoff or IdleBackoff(clock)
        self._idle_backoff.on_wake(self.wake)

    async def take(self, lease_id: UUID, limit: int) -> list[TakenTask]:
        """Claim up to `limit` of the tasks that hints have named; an empty list is no promise of anything."""
        self._woken.clear()
        self._full_since = None
        ids = self._next_ids(limit)
        if ids:
            return await self._claim(lease_id, ids)
        # Hints that name nothing: unacknowledged, they would use up what the broker sends ahead.
        await self._acknowledge()
        if not self._subscriptions.are_complete:
            self._changed.set()
        if self._fallback is None or not self._needs_fallback:
            return []
        return await self._fallback.take(lease_id, limit)

    @property
    def has_scanned(self) -> bool:
        """Never: what is due is known where hints come from."""
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
        """Whether something may be due of which no hint comes."""
        return self._hints_missing or not self.link.is_up or self._subscriptions.has_refused

    def wake(self) -> None:
        """End the wait, and look for new buckets: the notifier rang."""
        self._woken.set()
        self._buckets_wanted = True
        self._changed.set()
        if self._fallback is not None:
            self._fallback.wake()

    def suspend(self) -> None:
        """Give back soon what was not taken, unless `take` comes before."""
        self._idle_since = None
        if self._full_since is None:
            self._full_since = self._clock.monotonic()
            self._changed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep connected and subscribed until told to stop; then let go of what is held."""
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
        """Return what is held, then what came; the rest of the last hint is held for the next time."""
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
            # They come again, and name what is no longer there to be claimed.
            log.info("hint.unacknowledged", error=str(error))

    def _on_change(self) -> None:
        if self._subscriptions.has_arrived:
            if self._hints_missing:
                self._hints_missing = False
                log.info("hints.heard", worker=self._worker)
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
        # It is no use to look before what is known could be overdue.
        return min(self._idle_backoff.pause_s(_WATCH_S), max(self._first_due_in_s, _WATCH_S))

    async def _refresh_buckets(self) -> None:
        """Learn what waits and can be run here. The broker is not asked: it may be frozen."""
        if not self.link.is_up:
            return
        now = self._clock.monotonic()
        if self._full_since is None and now - self._buckets_read_at >= _BUCKETS_HOLD_S:
            self._buckets_wanted = False
            self._buckets_read_at = now
            await self._read_buckets(now)
        self._unsettled.set()

    async def _settle_until(self, stop: asyncio.Event) -> None:
        """Bring the subscriptions to what they should be, whenever that may have changed."""
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
        """Subscribe to what waits; or rest while there is no free slot."""
        if not self.link.is_up:
            return
        if self._full_since is None:
            await self._subscriptions.refresh(self.link)
        elif self._clock.monotonic() - self._full_since >= _FULL_S:
            await self._give_back()

    async def _give_back(self) -> None:
        """Keep nothing that others could run: neither hints nor what is left of one."""
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
        """Subscribe to what was found, and while a look does not see all, to what those before it found, too.

        There is no end to names: beyond a number the queues of hints take turns.
        """
        are_many = len(self._found) + len(found) > MOST_BUCKETS
        self._found = {**({} if self._scan.is_complete or are_many else self._found), **found}
        self._subscriptions.want(self._found)

    def _share(self, queue: str) -> float:
        """Return a queue's weight as a part of the largest."""
        return self._weights.get(queue, 1) / max(self._weights.values(), default=1)

    def _check_hints(self, now: float, *, overdue: bool) -> None:
        is_deaf = overdue and self._idle_since is not None and now - self._idle_since > _TIMEOUT_S
        if is_deaf and self._fallback is not None and not self._hints_missing:
            self._hints_missing = True
            log.warning("hints.missing", worker=self._worker)
            self.wake()
