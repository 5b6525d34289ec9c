"""Claims for workers that pull over HTTP: one service of a process, whatever number of calls wait for tasks.

The calls wait in memory, in the order in which they came. The service looks for due tasks when the notifier
rings, when a task becomes due, when a call comes, and once in a while; it claims for the first call that a due
bucket fits, and for the next one only when that left something. A call that waits has no lease: it holds nothing,
and nothing of it is left when this process dies. How claims end is not decided here.
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
# After a look in vain: however often the notifier rings for others.
_MIN_INTERVAL_S = 0.02
_OUTAGE_PAUSE_S = 0.5
_RETRY_AFTER_S = 1.0


class _Call:
    """A call that waits for its tasks; once its time is over it goes empty, but not before all was looked at."""

    __slots__ = ("_ends_left", "answer", "has_had_its_turn", "is_over", "wanted")

    def __init__(self, wanted: LeaseRequest, answer: "asyncio.Future[RemoteLease | None]") -> None:
        self.wanted = wanted
        self.answer = answer
        self.is_over = False
        self.has_had_its_turn = False
        self._ends_left: int | None = None

    def end(self) -> None:
        """The time is over."""
        self.is_over = True
        if self.has_had_its_turn:
            self.go_empty()

    def begin(self, ends_left: int) -> None:
        """From the first look on that it is part of, looks have to reach the end of all buckets so often."""
        if self._ends_left is None:
            self._ends_left = ends_left

    def reach_end(self) -> None:
        """Looks have reached the end of all buckets, and there was nothing for it there."""
        self._ends_left = (self._ends_left or 1) - 1
        self.has_had_its_turn |= not self._ends_left
        if self.has_had_its_turn and self.is_over:
            self.go_empty()

    def go_empty(self) -> None:
        """Answer that there is nothing."""
        if not self.answer.done():
            self.answer.set_result(None)


class PullClaims:
    """The service, and `claim` for its callers.

    `check` ends tasks of a new lease that are not to run, and returns it without them. `give_back` hands back what
    runs under a lease, at no cost.
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
        answer_limit: ResponseLimit,
    ) -> None:
        self._database = database
        self._check = check
        self._give_back = give_back
        self._ids = ids
        self._randomness = randomness
        self._most_waiting = most_waiting
        self._poll_s = poll_s
        self._answer_limit = answer_limit
        self._calls: dict[_Call, None] = {}
        self._scan = BucketScan()
        self._unwanted: set[UUID] = set()
        self._news = asyncio.Event()
        self._next_due_s = float("inf")
        self._is_closing = False

    async def claim(self, wanted: LeaseRequest) -> RemoteLease | None:
        """Return a lease with at least one task; None when none came in time, or the service stops.

        Whoever is cancelled while waiting gets nothing: what was claimed in that moment is given back.

        Raises:
            Unavailable: the database is away, or too many calls wait already.
        """
        if len(self._calls) >= self._most_waiting:
            raise Unavailable(_RETRY_AFTER_S, "a place among the calls that wait")
        loop = asyncio.get_running_loop()
        call = _Call(wanted, loop.create_future())
        timer = loop.call_later(0 if self._is_closing else wanted.wait_s, call.end)
        self._calls[call] = None
        self._news.set()
        try:
            return await call.answer
        except asyncio.CancelledError:
            # The answer may have come in the very moment in which nobody wanted it any more.
            if call.answer.done() and not call.answer.cancelled():
                lease = None if call.answer.exception() else call.answer.result()
                if lease is not None:
                    self.return_lease(lease.id)
            raise
        finally:
            timer.cancel()
            del self._calls[call]

    def return_lease(self, lease_id: UUID) -> None:
        """Give back soon what runs under a lease that nobody can have heard of."""
        self._unwanted.add(lease_id)
        self._news.set()

    def wake(self) -> None:
        """Look at once: something may be due."""
        self._news.set()

    def close(self) -> None:
        """Let nobody wait any more; whoever comes still gets what is due."""
        self._is_closing = True
        for call in self._calls:
            call.go_empty()

    async def run(self, stop: asyncio.Event) -> None:
        """Claim while somebody waits, until told to stop; what nobody heard of is given back first."""
        PULLS_WAITING.watch(self, PullClaims._told_waiting)
        try:
            async with wake_on(stop, self._end):
                while not stop.is_set():
                    await self._wait()
                    await self._look(stop)
            self._refuse_calls()
            await self._return_unwanted()
        finally:
            self._refuse_calls()
            PULLS_WAITING.forget(self)

    def _refuse_calls(self) -> None:
        """Take no more calls: nobody would look at them. One that came during the last look goes empty."""
        self._most_waiting = 0
        for call in self._calls:
            call.go_empty()

    def _told_waiting(self) -> dict[tuple[str, ...], float]:
        return {(): len(self._calls)}

    def _end(self) -> None:
        self.close()
        self._news.set()

    async def _wait(self) -> None:
        """Wait for news; as long as somebody waits, not for long."""
        limit_s = min(self._poll_s, max(self._next_due_s, _MIN_INTERVAL_S)) if self._calls else None
        if self._unwanted:
            limit_s = min(_OUTAGE_PAUSE_S, limit_s or _OUTAGE_PAUSE_S)
        try:
            async with asyncio.timeout(limit_s):
                await self._news.wait()
        except TimeoutError:
            return

    async def _look(self, stop: asyncio.Event) -> None:
        self._news.clear()
        await self._return_unwanted()
        try:
            if self._calls and not await self._claim_for_all():
                await pause(stop, _MIN_INTERVAL_S)
        except* (Unavailable, asyncpg.PostgresError) as group:
            error = _first(group)
            log.warning("claim.failed", worker="pull", error=str(error))
            for call in self._calls:
                if not call.answer.done():
                    call.answer.set_exception(_as_outage(error))
            await pause(stop, _OUTAGE_PAUSE_S)

    async def _return_unwanted(self) -> None:
        """Give back what nobody heard of; what can't be given back now is tried again, or runs out."""
        for lease_id in list(self._unwanted):
            try:
                await self._give_back(lease_id)
            except (Unavailable, asyncpg.PostgresError) as error:
                log.info("lease.left_open", lease_id=str(lease_id), error=str(error))
                return
            PULLS_RETURNED.add(1)
            self._unwanted.discard(lease_id)

    async def _claim_for_all(self) -> bool:
        """Look for every call that waits now, at all that there is if need be; True when anything was claimed.

        One that comes meanwhile is served, too, as far as looks still go; the next round sees the rest.
        """
        self._next_due_s = float("inf")
        first, has_claimed = list(self._calls), False
        ends_left = self._ends_to_see()
        while ends_left and not all(call.answer.done() for call in first):
            calls = list(self._calls)
            for call in calls:
                call.begin(self._ends_to_see())
            has_claimed |= await self._look_for(calls)
            if self._scan.is_at_end:
                ends_left -= 1
                for call in calls:
                    call.reach_end()
        return has_claimed

    def _ends_to_see(self) -> int:
        """Return how often looks from here on have to reach the end until they have seen everything."""
        return 1 if self._scan.is_at_end else 2

    async def _look_for(self, calls: Sequence[_Call]) -> bool:
        """Look at the next buckets for these calls; True when anything was claimed."""
        firsts = await self._scan.scan(self._database, types=self._types(), queues=self._queues())
        turns = self._turns(calls, firsts)
        async with asyncio.TaskGroup() as group:
            await self._serve(turns, group)
        return turns.has_claimed

    def _types(self) -> set[str]:
        return {kind for call in self._calls for kind in call.wanted.types}

    def _queues(self) -> set[str] | None:
        if any(not call.wanted.queues for call in self._calls):
            return None
        return {queue for call in self._calls for queue in call.wanted.queues}

    def _turns(self, calls: Sequence[_Call], firsts: Mapping[Bucket, FirstWaiting]) -> "_Turns":
        upcoming = (first.due_in_s for first in firsts.values() if first.due_in_s > 0)
        self._next_due_s = min(self._next_due_s, *upcoming, float("inf"))
        due = [bucket for bucket, first in firsts.items() if first.due_in_s <= 0]
        self._randomness.shuffle(due)
        due.sort(key=lambda bucket: -bucket.priority)
        return _Turns(iter(calls), due)

    async def _serve(self, turns: "_Turns", group: asyncio.TaskGroup) -> None:
        """Serve one call after the other, with ever more helpers while there is enough for all.

        So one task that comes costs one claim, whatever number of calls wait for it.
        """
        turns.servers += 1
        for call in turns.calls:
            buckets = turns.buckets_of(call.wanted)
            if buckets and not call.answer.done():
                await self._claim(call, buckets, turns)
            if turns.buckets_of(call.wanted) and turns.servers < _CLAIMS_AT_ONCE:
                group.create_task(self._serve(turns, group))

    async def _claim(self, call: _Call, buckets: Sequence[Bucket], turns: "_Turns") -> None:
        lease_id = self._ids()
        try:
            claimed = await remote_leases.claim(
                self._database, lease_id, call.wanted, buckets, self._answer_limit
            )
            lease = None if claimed is None else await self._check(claimed.lease)
        except asyncpg.PostgresError as error:
            if not faults.is_collision(error):
                raise
            # Nothing was claimed; the next look comes at once.
            self._news.set()
            return
        except BaseException:
            # It may have been committed all the same.
            self.return_lease(lease_id)
            raise
        if claimed is None or not claimed.may_be_more:
            turns.drained.update(buckets)
        if claimed is None or lease is None:
            return
        turns.has_claimed = True
        _tell(claimed.lease, claimed.taken)
        if call.answer.done():
            self.return_lease(lease_id)
        elif lease.tasks:
            call.answer.set_result(lease)
        else:
            self._news.set()


class _Turns:
    """One round: the calls that have no turn yet, and the buckets in which something is due and not yet taken."""

    def __init__(self, calls: Iterator[_Call], due: Sequence[Bucket]) -> None:
        self.calls = calls
        self.drained: set[Bucket] = set()
        self.has_claimed = False
        self.servers = 0
        self._due = due

    def buckets_of(self, wanted: LeaseRequest) -> list[Bucket]:
        """Return the buckets that fit, the most urgent first."""
        return [
            bucket
            for bucket in self._due
            if bucket not in self.drained and wanted.takes(bucket.queue, bucket.type)
        ]


def _tell(lease: RemoteLease, taken: Sequence[TakenTask]) -> None:
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
