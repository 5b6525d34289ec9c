"""Claims for workers that pull over HTTP: one service of a process for all calls that wait for tasks.

The calls wait in memory, in order of arrival. The service scans for due tasks when it is notified, when a task
becomes due, when a call comes, and once in a while; it claims for the first call that wants a due bucket, and for
the next one only when that left something. A waiting call has no lease: it holds nothing, and nothing of it is
left when this process dies. How claims end is the duty of `pull_ends.py`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from uuid import UUID

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.remote import LeaseRequest, RemoteLease
from taskmill.observability.flow import LEASES_OPENED, count_claimed
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import PULLS_RETURNED, PULLS_WAITING
from taskmill.runtime.ids import IdFactory
from taskmill.runtime.periodic import pause
from taskmill.runtime.waiting import wake_on
from taskmill.storage import faults, remote_leases
from taskmill.storage.bucket_scan import BucketScan, FirstWaiting
from taskmill.storage.claims import Bucket, TakenTask
from taskmill.storage.database import Database
from taskmill.storage.remote_leases import ResponseLimit

log = get_logger(__name__)

# Claims at a time: enough to keep PostgreSQL at work, and half of the pool left to everybody else.
_CLAIMS_AT_ONCE = 4
# After a scan that found nothing, however often the service is notified of other tasks.
_MIN_INTERVAL_S = 0.02
_OUTAGE_PAUSE_S = 0.5
_RETRY_AFTER_S = 1.0


class _Call:
    """A call that waits for tasks; it ends empty after its time, but not before a scan of all buckets."""

    __slots__ = ("_ends_to_reach", "future", "has_scanned_all", "is_over", "wanted")

    def __init__(self, wanted: LeaseRequest, future: "asyncio.Future[RemoteLease | None]") -> None:
        self.wanted = wanted
        self.future = future
        self.is_over = False
        self.has_scanned_all = False
        self._ends_to_reach: int | None = None

    def end(self) -> None:
        """End its time."""
        self.is_over = True
        if self.has_scanned_all:
            self.end_empty()

    def begin(self, ends_to_reach: int) -> None:
        """Note, at its first scan, how often scans have to reach the end of all buckets for it."""
        if self._ends_to_reach is None:
            self._ends_to_reach = ends_to_reach

    def reach_end(self) -> None:
        """Note that a scan reached the end of all buckets and found nothing for it."""
        self._ends_to_reach = (self._ends_to_reach or 1) - 1
        self.has_scanned_all |= not self._ends_to_reach
        if self.has_scanned_all and self.is_over:
            self.end_empty()

    def end_empty(self) -> None:
        """Return no lease, unless it has a result already."""
        if not self.future.done():
            self.future.set_result(None)


class PullClaims:
    """The service, and `claim` for its callers.

    `check` ends tasks of a new lease that must not run, and returns it without them. `give_back` hands back the
    tasks of a lease, at no cost.
    """

    def __init__(
        self,
        database: Database,
        *,
        check: Callable[[RemoteLease], Awaitable[RemoteLease]],
        give_back: Callable[[UUID], Awaitable[None]],
        ids: IdFactory,
        randomness: random.Random,
        most_waiting: int,
        poll_s: float,
        response_limit: ResponseLimit,
    ) -> None:
        self._database = database
        self._check = check
        self._give_back = give_back
        self._ids = ids
        self._randomness = randomness
        self._most_waiting = most_waiting
        self._poll_s = poll_s
        self._response_limit = response_limit
        self._calls: dict[_Call, None] = {}
        self._scan = BucketScan()
        self._unwanted: set[UUID] = set()
        self._wakeup = asyncio.Event()
        self._next_due_s = float("inf")
        self._is_closing = False

    async def claim(self, wanted: LeaseRequest) -> RemoteLease | None:
        """Return a lease with at least one task; None when none was due in time, or the service stops.

        When the caller is cancelled, tasks that were claimed for it at that moment are handed back.

        Raises:
            Unavailable: the database is away, or too many calls wait already.
        """
        if len(self._calls) >= self._most_waiting:
            raise Unavailable(_RETRY_AFTER_S, "a place among the calls that wait")
        loop = asyncio.get_running_loop()
        call = _Call(wanted, loop.create_future())
        timer = loop.call_later(0 if self._is_closing else wanted.wait_s, call.end)
        self._calls[call] = None
        self._wakeup.set()
        try:
            return await call.future
        except asyncio.CancelledError:
            # The lease may have come at the very moment of the cancel.
            if call.future.done() and not call.future.cancelled():
                lease = None if call.future.exception() else call.future.result()
                if lease is not None:
                    self.return_lease(lease.id)
            raise
        finally:
            timer.cancel()
            del self._calls[call]

    def return_lease(self, lease_id: UUID) -> None:
        """Hand back soon the tasks of a lease whose response reached nobody."""
        self._unwanted.add(lease_id)
        self._wakeup.set()

    def wake(self) -> None:
        """Scan at once: something may be due."""
        self._wakeup.set()

    def close(self) -> None:
        """Let no call wait any longer; new ones still get what is due."""
        self._is_closing = True
        for call in self._calls:
            call.end_empty()

    async def run(self, stop: asyncio.Event) -> None:
        """Claim while calls wait, until `stop` is set; then hand back what reached nobody."""
        PULLS_WAITING.watch(self, PullClaims._sample_waiting)
        try:
            async with wake_on(stop, self._end):
                while not stop.is_set():
                    await self._wait()
                    await self._run_round(stop)
            self._refuse_calls()
            await self._return_unwanted()
        finally:
            self._refuse_calls()
            PULLS_WAITING.forget(self)

    def _refuse_calls(self) -> None:
        """Accept no more calls, and end those that came during the last round."""
        self._most_waiting = 0
        for call in self._calls:
            call.end_empty()

    def _sample_waiting(self) -> dict[tuple[str, ...], float]:
        return {(): len(self._calls)}

    def _end(self) -> None:
        self.close()
        self._wakeup.set()

    async def _wait(self) -> None:
        """Wait to be woken; while calls wait, not for long."""
        limit_s = min(self._poll_s, max(self._next_due_s, _MIN_INTERVAL_S)) if self._calls else None
        if self._unwanted:
            limit_s = min(_OUTAGE_PAUSE_S, limit_s or _OUTAGE_PAUSE_S)
        try:
            async with asyncio.timeout(limit_s):
                await self._wakeup.wait()
        except TimeoutError:
            return

    async def _run_round(self, stop: asyncio.Event) -> None:
        self._wakeup.clear()
        await self._return_unwanted()
        try:
            if self._calls and not await self._claim_for_all():
                await pause(stop, _MIN_INTERVAL_S)
        except* (Unavailable, asyncpg.PostgresError) as group:
            error = _first(group)
            log.warning("claim.failed", worker="pull", error=str(error))
            for call in self._calls:
                if not call.future.done():
                    call.future.set_exception(_as_outage(error))
            await pause(stop, _OUTAGE_PAUSE_S)

    async def _return_unwanted(self) -> None:
        """Hand back what reached nobody; a lease that can't be handed back now is tried again, or runs out."""
        for lease_id in list(self._unwanted):
            try:
                await self._give_back(lease_id)
            except (Unavailable, asyncpg.PostgresError) as error:
                log.info("lease.left_open", lease_id=str(lease_id), error=str(error))
                return
            PULLS_RETURNED.add(1)
            self._unwanted.discard(lease_id)

    async def _claim_for_all(self) -> bool:
        """Scan for every call that waits now, up to all buckets; return whether anything was claimed.

        A call that comes meanwhile is served as well, as far as the scans still go; the next round does the rest.
        """
        self._next_due_s = float("inf")
        first, has_claimed = list(self._calls), False
        ends_to_reach = self._count_ends_to_reach()
        while ends_to_reach and not all(call.future.done() for call in first):
            calls = list(self._calls)
            for call in calls:
                call.begin(self._count_ends_to_reach())
            has_claimed |= await self._scan_for(calls)
            if self._scan.is_at_end:
                ends_to_reach -= 1
                for call in calls:
                    call.reach_end()
        return has_claimed

    def _count_ends_to_reach(self) -> int:
        """Return how often scans have to reach the end from here on, until they have seen everything."""
        return 1 if self._scan.is_at_end else 2

    async def _scan_for(self, calls: Sequence[_Call]) -> bool:
        """Scan the next buckets for these calls; return whether anything was claimed."""
        firsts = await self._scan.scan(self._database, types=self._types(), queues=self._queues())
        current = self._pass(calls, firsts)
        async with asyncio.TaskGroup() as group:
            await self._serve(current, group)
        return current.has_claimed

    def _types(self) -> set[str]:
        return {kind for call in self._calls for kind in call.wanted.types}

    def _queues(self) -> set[str] | None:
        if any(not call.wanted.queues for call in self._calls):
            return None
        return {queue for call in self._calls for queue in call.wanted.queues}

    def _pass(self, calls: Sequence[_Call], firsts: Mapping[Bucket, FirstWaiting]) -> "_Pass":
        upcoming = (first.due_in_s for first in firsts.values() if first.due_in_s > 0)
        self._next_due_s = min(self._next_due_s, *upcoming, float("inf"))
        due = [bucket for bucket, first in firsts.items() if first.due_in_s <= 0]
        self._randomness.shuffle(due)
        due.sort(key=lambda bucket: -bucket.priority)
        return _Pass(iter(calls), due)

    async def _serve(self, current: "_Pass", group: asyncio.TaskGroup) -> None:
        """Serve one call after the other, with more servers at a time while there is enough for all.

        So a single due task costs one claim, however many calls wait for it.
        """
        current.servers += 1
        for call in current.calls:
            buckets = current.buckets_of(call.wanted)
            if buckets and not call.future.done():
                await self._claim(call, buckets, current)
            if current.buckets_of(call.wanted) and current.servers < _CLAIMS_AT_ONCE:
                group.create_task(self._serve(current, group))

    async def _claim(self, call: _Call, buckets: Sequence[Bucket], current: "_Pass") -> None:
        lease_id = self._ids()
        try:
            claimed = await remote_leases.claim(
                self._database, lease_id, call.wanted, buckets, self._response_limit
            )
            lease = None if claimed is None else await self._check(claimed.lease)
        except asyncpg.PostgresError as error:
            if not faults.is_collision(error):
                raise
            # Nothing was claimed; scan again at once.
            self._wakeup.set()
            return
        except BaseException:
            # It may have been committed nevertheless.
            self.return_lease(lease_id)
            raise
        if claimed is None or not claimed.may_be_more:
            current.drained.update(buckets)
        if claimed is None or lease is None:
            return
        current.has_claimed = True
        _report_claims(claimed.lease, claimed.taken)
        if call.future.done():
            self.return_lease(lease_id)
        elif lease.tasks:
            call.future.set_result(lease)
        else:
            self._wakeup.set()


class _Pass:
    """One pass over some buckets: the calls that are not served yet, and the buckets that still have due tasks."""

    def __init__(self, calls: Iterator[_Call], due: Sequence[Bucket]) -> None:
        self.calls = calls
        self.drained: set[Bucket] = set()
        self.has_claimed = False
        self.servers = 0
        self._due = due

    def buckets_of(self, wanted: LeaseRequest) -> list[Bucket]:
        """Return the due buckets that the request wants, the most urgent first."""
        return [
            bucket
            for bucket in self._due
            if bucket not in self.drained and wanted.takes(bucket.queue, bucket.type)
        ]


def _report_claims(lease: RemoteLease, taken: Sequence[TakenTask]) -> None:
    LEASES_OPENED.inc()
    count_claimed((one.task, one.waited_s) for one in taken)
    log.info("lease.opened", lease_id=str(lease.id), worker=lease.worker, tasks=len(taken))
    for one in taken:
        task = one.task
        log.info(
            "task.claimed",
            task_id=str(task.id),
            claim_no=task.claim_no,
            attempt=task.attempt,
            worker=lease.worker,
            queue=task.queue,
            type=task.type,
            waited_ms=round(one.waited_s * 1000, 1),
        )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _as_outage(error: BaseException) -> Unavailable:
    """Return an error of its own for each caller: the same one raised twice would carry both tracebacks."""
    outage = Unavailable(_RETRY_AFTER_S, "the database")
    outage.__cause__ = error
    return outage
