"""The worker's loop: claim while there are free slots, start an attempt for each claim, stop in order.

`pool` owns the attempts, `recorder` records their outcomes, `lease` holds the right to run them, and the transport
finds due tasks.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Cancelled, Interrupted, Lost, Reason
from taskmill.domain.system import WorkerRequest
from taskmill.domain.task import Fence
from taskmill.observability.flow import count_claimed
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import BATCH_ITEMS, BATCH_TIME, WORKER_RUNNING, WORKER_SLOTS
from taskmill.runtime.clock import Clock
from taskmill.runtime.periodic import pause
from taskmill.runtime.waiting import wake_on
from taskmill.storage.claims import TakenTask
from taskmill.transports.base import Transport
from taskmill.worker.attempt import Attempt, AttemptState, ClaimKey
from taskmill.worker.exclusive import ExclusiveGuard
from taskmill.worker.lease import LeaseKeeper
from taskmill.worker.options import WorkerOptions
from taskmill.worker.pool import AttemptPool
from taskmill.worker.process_end import ProcessEnd
from taskmill.worker.reconciler import Reconciler

log = get_logger(__name__)

_OUTAGE_PAUSE_S: Final = 0.5
_STOPPED: Final = Interrupted(reason=Reason.WORKER_STOPPED)
_MOST_NAMED: Final = 100


class Worker:
    """A service that runs tasks, as many at a time as it has slots.

    `wake` is set when it may be able to claim. `process_end` ends the process when an operator requests that.
    `unwritten` is called with the tasks whose results are lost when the worker ends.
    """

    name = "worker"

    def __init__(
        self,
        options: WorkerOptions,
        *,
        transport: Transport,
        keeper: LeaseKeeper,
        pool: AttemptPool,
        reconciler: Reconciler,
        guard: ExclusiveGuard,
        process_end: ProcessEnd,
        clock: Clock,
        wake: asyncio.Event,
        unwritten: Callable[[Collection[UUID]], None] = lambda _: None,
    ) -> None:
        self.pool = pool
        self._options = options
        self._transport = transport
        self._keeper = keeper
        self._reconciler = reconciler
        self._guard = guard
        self._process_end = process_end
        self._clock = clock
        self._wake = wake
        self._unwritten = unwritten
        # Bound once: the module's logger would resolve the real one for each line.
        self._log = log.bind()
        process_end.join(self, self._wake_up)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish what runs, or hand it back after the grace period."""
        self._keeper.start(
            on_change=self._on_lease_change,
            on_cancels=self._on_cancels,
            on_request=self._on_request,
            running=self._taken_slots,
        )
        WORKER_SLOTS.watch(self, Worker._slot_sample)
        WORKER_RUNNING.watch(self, Worker._running_sample)
        log.info("worker.started", worker=self._options.name, slots=self._options.slots)
        try:
            async with (
                wake_on(stop, self._wake_up),
                self._guard.watching(),
                self.pool.open(),
            ):
                await self._claim_until(stop)
                self._transport.suspend()
                with suppress(Unavailable, asyncpg.PostgresError):
                    await self._reconciler.reconcile()
                await self._drain()
        finally:
            self._report_unwritten()
            await self._keeper.stop()
            WORKER_SLOTS.forget(self)
            WORKER_RUNNING.forget(self)
        log.info("worker.stopped", worker=self._options.name)

    def _slot_sample(self) -> dict[tuple[str, ...], float]:
        return {(): self._options.slots}

    def _running_sample(self) -> dict[tuple[str, ...], float]:
        return {(): self._taken_slots()}

    def _taken_slots(self) -> int:
        return self.pool.taken_slots

    def _on_lease_change(self) -> None:
        """Stop what ran under a closed lease: another worker has it, or will have it soon."""
        current = self._keeper.last_lease_id
        for attempt in self.pool.attempts:
            if attempt.fence.lease_id != current:
                self.pool.stop(attempt, Lost())
        self._wake.set()

    def _on_cancels(self, keys: Collection[ClaimKey]) -> None:
        """Stop these attempts. An unknown one is reported again: the response to its claim is on its way."""
        for key in keys:
            attempt = self.pool.get(key)
            if attempt is not None:
                self.pool.stop(attempt, Cancelled())

    def _on_request(self) -> None:
        """Do what an operator has requested."""
        if self._keeper.request is WorkerRequest.STOP:
            self._process_end.begin()
        self._process_end.request_when_empty(self, is_requested=self._keeper.stop_when_empty)
        self._wake_up()

    def _wake_up(self) -> None:
        self._wake.set()
        self._transport.wake()

    async def _claim_until(self, stop: asyncio.Event) -> None:
        until_idle = self._options.until_idle
        while not stop.is_set():
            self._wake.clear()
            lease_id = self._keeper.lease_id
            free = self.pool.free_slots
            is_quiet = self._keeper.request is not None or self._process_end.waits_for_empty
            if lease_id is None or free <= 0 or is_quiet:
                if until_idle and self._keeper.request is not None and not self.pool:
                    return
                self._process_end.note(self, is_empty=is_quiet and not self.pool)
                self._transport.suspend()
                await self._wake.wait()
                continue
            self._process_end.note(self, is_empty=False)
            # Before the claim: an attempt that ends meanwhile may make a task due which the claim has not seen.
            was_idle = not self.pool
            try:
                taken = await self._claim(lease_id, free)
            except (Unavailable, asyncpg.PostgresError) as error:
                log.warning("claim.failed", worker=self._options.name, error=str(error))
                await pause(stop, _OUTAGE_PAUSE_S)
                continue
            for one in taken:
                self._start(one, lease_id)
            if taken:
                continue
            if until_idle and was_idle and self._transport.has_scanned:
                return
            await self._transport.wait()

    async def _claim(self, lease_id: UUID, free: int) -> list[TakenTask]:
        await self._reconciler.reconcile_if_due(lease_id)
        self._reconciler.begin_claim(lease_id)
        began_at = self._clock.monotonic()
        taken = await self._transport.take(lease_id, min(free, self._options.claim_size))
        self._reconciler.end_claim()
        if taken:
            BATCH_ITEMS.observe(len(taken), ("claim",))
            BATCH_TIME.observe(self._clock.monotonic() - began_at, ("claim",))
            count_claimed((one.task, one.waited_s) for one in taken)
        return taken

    def _start(self, taken: TakenTask, lease_id: UUID) -> None:
        task = taken.task
        self._log.info(
            "task.claimed",
            task_id=task.id,
            claim_no=task.claim_no,
            attempt=task.attempt,
            worker=self._options.name,
            queue=task.queue,
            type=task.type,
            waited_ms=round(taken.waited_s * 1000, 1),
        )
        fence = Fence(task_id=task.id, lease_id=lease_id, claim_no=task.claim_no)
        attempt = Attempt(task=task, fence=fence, began_at=self._clock.monotonic())
        self.pool.start(attempt)
        if lease_id != self._keeper.last_lease_id:
            # It was closed while the response to the claim was on its way.
            self.pool.stop(attempt, Lost())

    async def _drain(self) -> None:
        """Let handlers finish during the grace period, then hand their tasks back, which costs no attempt."""
        try:
            async with asyncio.timeout(self._options.grace_s):
                await self.pool.empty()
        except TimeoutError:
            log.info("worker.handing_back", worker=self._options.name, tasks=self.pool.running)
        self.pool.stop_all(_STOPPED)

    def _report_unwritten(self) -> None:
        """Report the results that are lost with this worker: their tasks run again."""
        unrecorded = [a for a in self.pool.attempts if a.state is AttemptState.SETTLED]
        if not unrecorded:
            return
        # Interrupted attempts have no results: they were to be handed back.
        results = [a.task.id for a in unrecorded if not isinstance(a.outcome, Interrupted)]
        log.error(
            "finish.unwritten",
            worker=self._options.name,
            results=len(results),
            handed_back=len(unrecorded) - len(results),
            task_ids=[str(task_id) for task_id in results[:_MOST_NAMED]],
        )
        if results:
            self._unwritten(results)
