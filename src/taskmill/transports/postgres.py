"""The transport without a broker: a worker claims what is due straight from `dispatch`.

It remembers the buckets (queue, type, priority) in which tasks wait, and for each a position before which nothing
waited at the last scan. Rows deleted before it stay in the index while an old snapshot is open, and skipping them
would cost more with every claim. Only the scan for buckets reads each from its start, and so finds tasks that were
committed late or handed back. While it is cheap it runs as often as needed, else for a share of the time;
meanwhile the buckets that recently had tasks are tried.
"""

import asyncio
import random
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.runtime.duty_cycle import DutyCycle
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.periodic import pause
from taskmill.storage import claims
from taskmill.storage.bucket_scan import BucketScan, FirstWaiting
from taskmill.storage.claims import Bucket, BucketStart, TakenTask
from taskmill.storage.database import Database
from taskmill.wire.hints import Hint, hint_in

log = get_logger(__name__)

# New buckets and pauses are noticed at least this often while claims come back full.
_BUCKETS_HOLD_S = 1.0
# Rows due up to this long before the position reached are always read again.
_LATENESS = timedelta(seconds=0.25)
# The share of the time that scans for buckets may take: so small that it delays fewer than one task in twenty. A
# delayed task, one in a bucket that is new to this worker or due before the position reached, waits no longer than
# the last of these.
_SCAN_SHARE = 0.05
_SCAN_BURST_S = 0.2
_LONGEST_UNSCANNED_S = 2.0
# How soon to continue when a scan did not reach all buckets.
_NEXT_SCAN_S = 0.02
# How many recent buckets are tried while no scan is allowed.
_MOST_RECENT = 100


class PostgresTransport:
    """Claims from the buckets that a worker serves: by priority, and within one by the weights of the queues.

    `queues` maps the queues that it serves to their weights; if empty it serves all queues, with equal weights.
    `types` are the types that it serves; None means all.
    """

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        queues: Mapping[str, int],
        types: Collection[str] | None,
        poll_s: float,
        clock: Clock,
        randomness: random.Random,
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        self._idle_backoff = idle_backoff or IdleBackoff(clock)
        self._idle_backoff.on_wake(self.wake)
        self._database = database
        self._worker = worker
        self._weights = dict(queues)
        self._types = types
        self._scan = BucketScan()
        self._poll_s = poll_s
        self._clock = clock
        self._randomness = randomness
        self._buckets: dict[Bucket, float] = {}
        self._buckets_read_at = float("-inf")
        self._checked_at = float("-inf")
        self._scan_duty = DutyCycle(
            clock, share=_SCAN_SHARE, most_s=_SCAN_BURST_S, longest_s=_LONGEST_UNSCANNED_S
        )
        self._knows_buckets = False
        self._starts: dict[Bucket, BucketStart] = {}
        # Buckets that had tasks, the latest last.
        self._recent: dict[Bucket, None] = {}
        # Buckets of which a hint has come since the last claim. After a scan that found nothing due, only they are
        # claimed from.
        self._expected: dict[Bucket, datetime] = {}
        self._is_drained = False
        self._woken = asyncio.Event()

    async def take(self, lease_id: UUID, limit: int) -> list[TakenTask]:
        """Claim up to `limit` due tasks."""
        self._woken.clear()
        buckets = await self._due_buckets()
        if not buckets:
            self._is_drained = self._knows_buckets
            self._expire_buckets()
            return []
        safe_start = self._safe_start()
        taken = await claims.take(
            self._database,
            lease_id=lease_id,
            worker=self._worker,
            buckets=[(bucket, self._starts.get(bucket, BucketStart())) for bucket in buckets],
            limit=limit,
        )
        self._remember(taken)
        if len(taken) == limit:
            self._is_drained = False
        else:
            self._expire_buckets()
            # Only rows that others have locked are left; the next scan finds them if they are unlocked.
            for bucket in buckets:
                self._advance(bucket, safe_start)
        return taken

    async def wait(self) -> None:
        """Wait for a notification, the next due time or the polling interval."""
        # What was due already has just been tried in vain: others have locked it, or it is about to expire.
        upcoming = [due_at for due_at in self._buckets.values() if due_at > self._checked_at]
        pause_s = min(upcoming, default=float("inf")) - self._clock.monotonic()
        is_idle = (
            self._knows_buckets and self._scan.is_complete and len(upcoming) == len(self._buckets)
        )
        longest_s = self._idle_backoff.pause_s(self._poll_s) if is_idle else self._poll_s
        if not self._scan.is_at_end:
            longest_s = min(longest_s, _NEXT_SCAN_S)
        await pause(self._woken, min(longest_s, max(pause_s, 0.001)))

    def wake(self) -> None:
        """End the wait and scan again."""
        self._is_drained = False
        self._buckets_read_at = float("-inf")
        self._woken.set()

    def on_notification(self, payload: str) -> None:
        """End the wait: there may be a hint of the only task that came; else scan again."""
        hint = hint_in(payload)
        if hint is None:
            self.wake()
        elif self.serves(hint.queue, hint.type):
            self.on_hint(hint)

    def serves(self, queue: str, task_type: str) -> bool:
        """Return whether it claims tasks of this queue and type."""
        is_type = self._types is None or task_type in self._types
        return is_type and (not self._weights or queue in self._weights)

    def on_hint(self, hint: Hint) -> None:
        """End the wait; if a single task came, claim from its bucket without a scan."""
        if hint.priority is None or hint.run_at is None:
            self.wake()
            return
        bucket = Bucket(queue=hint.queue, type=hint.type, priority=hint.priority)
        self._expected.setdefault(bucket, hint.run_at)
        self._woken.set()

    def suspend(self) -> None:
        """Do nothing: it holds nothing back."""

    @property
    def has_scanned(self) -> bool:
        """Whether the last `take` knew all buckets with waiting tasks."""
        return self._knows_buckets

    async def _due_buckets(self) -> list[Bucket]:
        expected = self._take_expected()
        if expected and self._is_drained and not self._known_due():
            self._knows_buckets = False
            return sorted(expected, key=self._sort_key)
        is_held = self._clock.monotonic() - self._buckets_read_at <= _BUCKETS_HOLD_S
        self._knows_buckets = is_held or await self._scan_buckets()
        for bucket in expected:
            self._buckets.setdefault(bucket, self._clock.monotonic())
        guesses = () if self._knows_buckets else self._recent
        return sorted(dict.fromkeys([*self._known_due(), *guesses]), key=self._sort_key)

    def _known_due(self) -> list[Bucket]:
        self._checked_at = self._clock.monotonic()
        return [bucket for bucket, due_at in self._buckets.items() if due_at <= self._checked_at]

    def _take_expected(self) -> Collection[Bucket]:
        """Return the buckets of which there were hints, to be claimed from their tasks on at the latest."""
        expected, self._expected = self._expected, {}
        for bucket, run_at in expected.items():
            start = self._starts.get(bucket)
            if start is None or run_at < start.run_at:
                self._starts[bucket] = BucketStart(run_at=run_at)
        return expected

    async def _scan_buckets(self) -> bool:
        """Scan for buckets and their first tasks, if the duty cycle allows it; return whether it was done."""
        if not self._scan_duty.is_open:
            return False
        began_at, safe_start = self._clock.monotonic(), self._safe_start()
        try:
            firsts = await self._scan.scan(
                self._database, types=self._types, queues=self._weights or None
            )
        except Unavailable as error:
            if not self._recent:
                raise
            # The claim will show whether the database is away, or the scan only took too long.
            log.warning("buckets.unread", worker=self._worker, error=repr(error.__cause__))
            return False
        finally:
            self._scan_duty.charge(self._clock.monotonic() - began_at)
        # Counted from the result: a claim that comes a moment too early finds nothing.
        scanned_at = self._clock.monotonic()
        self._buckets = {bucket: scanned_at + first.due_in_s for bucket, first in firsts.items()}
        self._buckets_read_at = began_at
        self._begin_at(firsts, safe_start)
        return True

    def _begin_at(self, firsts: Mapping[Bucket, FirstWaiting], safe_start: datetime) -> None:
        """Start each bucket at its first task, but not after `safe_start`: tasks due since may yet commit."""
        self._starts = dict.fromkeys(self._recent, BucketStart(run_at=safe_start))
        for bucket, first in firsts.items():
            self._starts[bucket] = BucketStart(run_at=min(first.run_at, safe_start))

    def _safe_start(self) -> datetime:
        return self._clock.now() - _LATENESS

    def _sort_key(self, bucket: Bucket) -> tuple[int, float]:
        """Return a sort key: by priority, then at random, with chances in proportion to the queues' weights.

        By Efraimidis and Spirakis, Weighted random sampling with a reservoir (2006).
        """
        weight = self._weights.get(bucket.queue, 1)
        return -bucket.priority, -(self._randomness.random() ** (1 / weight))

    def _expire_buckets(self) -> None:
        """Scan before the next claim: the buckets are drained, or others have locked their rows."""
        self._buckets_read_at = float("-inf")

    def _remember(self, taken: list[TakenTask]) -> None:
        # Making and comparing a bucket for each task would cost more than everything else here.
        lasts: dict[tuple[str, str, int], datetime] = {}
        for one in taken:
            kind = (one.task.queue, one.task.type, one.task.priority)
            if kind not in lasts or one.run_at > lasts[kind]:
                lasts[kind] = one.run_at
        for (queue, type_, priority), run_at in lasts.items():
            bucket = Bucket(queue=queue, type=type_, priority=priority)
            self._advance(bucket, run_at - _LATENESS)
            self._recent.pop(bucket, None)
            self._recent[bucket] = None
        while len(self._recent) > _MOST_RECENT:
            del self._recent[next(iter(self._recent))]

    def _advance(self, bucket: Bucket, run_at: datetime) -> None:
        if run_at > self._starts.get(bucket, BucketStart()).run_at:
            self._starts[bucket] = BucketStart(run_at=run_at)
