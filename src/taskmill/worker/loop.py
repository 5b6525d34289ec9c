"""The worker's loop: claim while there are free slots, run every claim in its own task, stop in order.

The handlers' asyncio tasks are owned by `runs`; what a handler did is recorded by `finishing`, the right to run
by `lease`; how tasks are found is the transport's affair.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from taskmill.app import Context
from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Cancelled, Failed, Interrupted, Lost, Outcome, Reason
from taskmill.domain.system import WorkerRequest
from taskmill.domain.task import Fence
from taskmill.observability.flow import ATTEMPTS_LOST, RECONCILED, count_claimed
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import BATCH_ITEMS, BATCH_TIME, WORKER_RUNNING, WORKER_SLOTS
from taskmill.operations.progress import ProgressReports
from taskmill.runtime.clock import Clock
from taskmill.runtime.periodic import pause
from taskmill.storage import claims
from taskmill.storage.claims import TakenTask
from taskmill.storage.database import Database
from taskmill.transports.base import Transport
from taskmill.worker.claim_log import ClaimLog
from taskmill.worker.execution import describe, execute, once_stopped
from taskmill.worker.finishing import Attempt, Finishing, decided
from taskmill.worker.handlers import Handlers
from taskmill.worker.lease import LeaseKeeper, RunKey
from taskmill.worker.process_end import ProcessEnd
from taskmill.worker.runs import Run, Runs
from taskmill.worker.surroundings import RunSurroundings
from taskmill.worker.task_log import TaskLog

if TYPE_CHECKING:
    from taskmill.worker.traced import AttemptSpans

log = get_logger(__name__)

_NO_HANDLER_PAUSE = timedelta(seconds=30)
_OUTAGE_PAUSE_S = 0.5
# Once in a while PostgreSQL is asked what it believes we run, for whatever no other rule foresaw.
_AUDIT_S = 60.0
_STOPPED = Interrupted(reason=Reason.WORKER_STOPPED)
_UNSURE = Interrupted(reason=Reason.LEASE_UNSURE)
_UNSURE_LOOK_S = 0.1


class Worker:
    """A service that runs tasks, up to `slots` at a time; `until_idle` ends it when nothing is due.

    `end_process` is for when an operator asks it to stop.
    """

    name = "worker"

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        transport: Transport,
        keeper: LeaseKeeper,
        finishing: Finishing,
        task_log: TaskLog,
        progress: ProgressReports,
        handlers: Handlers,
        clock: Clock,
        slots: int,
        claim_size: int,
        grace_s: float,
        result_bytes: int,
        patience_s: float,
        end_process: ProcessEnd,
        until_idle: bool = False,
        spans: "AttemptSpans | None" = None,
    ) -> None:
        self._until_idle = until_idle
        self._end_process = end_process
        end_process.join(self, self._look_again)
        self._database = database
        self._worker = worker
        self._transport = transport
        self._keeper = keeper
        self._finishing = finishing
        self._task_log = task_log
        self._progress = progress
        self._handlers = handlers
        self._clock = clock
        self._slots = slots
        self._claim_size = claim_size
        self._grace_s = grace_s
        self._result_bytes = result_bytes
        self._news = asyncio.Event()
        self._runs = Runs(
            worker=worker,
            work=self._outcome if spans is None else spans.around(self._outcome),
            record=self._record if spans is None else spans.before(self._record),
            freed=self._news.set,
            patience_s=patience_s,
        )
        # Bound once: the module's looks for the real one at each line.
        self._log = log.bind()
        self._in_doubt: UUID | None = None
        self._audit_due_at = clock.monotonic() + _AUDIT_S

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; then finish what runs, or hand it back when the grace time is over."""
        self._keeper.start(
            changed=self._on_lease_change,
            asked_to_cancel=self._on_cancels,
            asked=self._on_request,
            running=self._taken_slots,
        )
        WORKER_SLOTS.watch(self, Worker._told_slots)
        WORKER_RUNNING.watch(self, Worker._told_running)
        log.info("worker.started", worker=self._worker, slots=self._slots)
        try:
            async with (
                self._task_log,
                self._progress,
                self._finishing,
                asyncio.TaskGroup() as duties,
            ):
                helpers = [duties.create_task(self._notice(stop))]
                async with self._runs as runs:
                    helpers.append(duties.create_task(runs.watch()))
                    if self._handlers.has_exclusive:
                        helpers.append(duties.create_task(self._guard_exclusive()))
                    await self._work_until(stop)
                for helper in helpers:
                    helper.cancel()
        finally:
            await self._keeper.stop()
            WORKER_SLOTS.forget(self)
            WORKER_RUNNING.forget(self)
        log.info("worker.stopped", worker=self._worker)

    def _told_slots(self) -> dict[tuple[str, ...], float]:
        return {(): self._slots}

    def _told_running(self) -> dict[tuple[str, ...], float]:
        return {(): self._taken_slots()}

    async def _work_until(self, stop: asyncio.Event) -> None:
        await self._claim_until(stop)
        self._transport.rest()
        with suppress(Unavailable, asyncpg.PostgresError):
            await self._reconcile()
        await self._drain()

    async def _notice(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._look_again()

    def _on_lease_change(self) -> None:
        """Stop what ran under a lease that was closed: somebody else has it, or will have it soon."""
        current = self._keeper.last_lease_id
        for run in self._runs.all():
            if run.attempt.fence.lease_id != current:
                self._runs.stop(run, Lost())
        self._news.set()

    def _on_cancels(self, asked: Collection[RunKey]) -> None:
        """Stop these. One that is not known yet is told of again: its claim's answer is on its way."""
        for key in asked:
            run = self._runs.get(key)
            if run is not None:
                self._runs.stop(run, Cancelled())

    def _on_request(self) -> None:
        """Do what an operator asks for."""
        if self._keeper.asked_to is WorkerRequest.STOP:
            self._end_process.begin()
        self._end_process.ask_when_empty(self, is_asked=self._keeper.stop_when_empty)
        self._look_again()

    def _look_again(self) -> None:
        self._news.set()
        self._transport.wake()

    async def _guard_exclusive(self) -> None:
        """Stop exclusive tasks when the lease could have ended, and what a late answer adds to them."""
        while True:
            left_s = self._keeper.holds_for_s
            await asyncio.sleep(left_s if left_s > 0 else _UNSURE_LOOK_S)
            if self._keeper.lease_id is not None:
                continue
            exclusive = [
                run
                for run in self._runs.all()
                if run.stop_as is None
                and not run.is_settled
                and self._handlers.is_exclusive(run.attempt.task.type)
            ]
            for run in exclusive:
                self._runs.stop(run, _UNSURE)
            if exclusive:
                log.warning("lease.unsure", worker=self._worker, tasks=len(exclusive))

    async def _claim_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._news.clear()
            lease_id = self._keeper.lease_id
            free = self._free_slots()
            is_quiet = self._keeper.asked_to is not None or self._end_process.waits_for_empty
            if lease_id is None or free <= 0 or is_quiet:
                if self._until_idle and self._keeper.asked_to is not None and not self._runs:
                    return
                self._end_process.note(self, is_empty=is_quiet and not self._runs)
                self._transport.rest()
                await self._news.wait()
                continue
            self._end_process.note(self, is_empty=False)
            # Before the look: one that ends meanwhile may bring a task back which the look has not seen.
            was_idle = not self._runs
            try:
                await self._audit(lease_id)
                self._in_doubt = lease_id
                taken = await self._take(lease_id, min(free, self._claim_size))
                self._in_doubt = None
            except (Unavailable, asyncpg.PostgresError) as error:
                log.warning("claim.failed", worker=self._worker, error=str(error))
                await pause(stop, _OUTAGE_PAUSE_S)
                continue
            for one in taken:
                self._start(one, lease_id)
            if taken:
                continue
            if self._until_idle and was_idle and self._transport.has_looked:
                return
            await self._transport.wait()

    def _free_slots(self) -> int:
        """Return how many may begin: ends that are still to be written down hold none, unless many are."""
        return min(self._slots - self._runs.running, 2 * self._slots - len(self._runs))

    def _taken_slots(self) -> int:
        """Return how many slots nothing new can have, as far as others can tell."""
        return min(len(self._runs), self._slots)

    async def _take(self, lease_id: UUID, limit: int) -> list[TakenTask]:
        asked_at = self._clock.monotonic()
        taken = await self._transport.take(lease_id, limit)
        if taken:
            BATCH_ITEMS.observe(len(taken), ("claim",))
            BATCH_TIME.observe(self._clock.monotonic() - asked_at, ("claim",))
            count_claimed((one.task, one.waited_s) for one in taken)
        return taken

    async def _audit(self, lease_id: UUID) -> None:
        if self._in_doubt is None and self._clock.monotonic() > self._audit_due_at:
            self._in_doubt = lease_id
        await self._reconcile()

    async def _reconcile(self) -> None:
        """Give back what PostgreSQL has as ours and nobody runs, as after a claim whose answer was lost."""
        if self._in_doubt != self._keeper.last_lease_id:
            # It was closed meanwhile: what ran under it is lost, and rescue's to take back.
            self._in_doubt = None
        if self._in_doubt is None:
            return
        held = await claims.find_of_lease(self._database, self._in_doubt)
        orphans = [c for c in held if (c.fence.task_id, c.fence.claim_no) not in self._runs]
        if orphans:
            ends = [decided(c.fence, _STOPPED, c.claim, jitter=0) for c in orphans]
            ended = await claims.end(self._database, ends, worker=self._worker)
            RECONCILED.add(len(ended))
            log.warning("claim.reconciled", worker=self._worker, tasks=len(orphans))
        self._in_doubt = None
        self._audit_due_at = self._clock.monotonic() + _AUDIT_S

    def _start(self, taken: TakenTask, lease_id: UUID) -> None:
        task = taken.task
        self._log.info(
            "task.claimed",
            task_id=task.id,
            claim_no=task.claim_no,
            attempt=task.attempt,
            worker=self._worker,
            queue=task.queue,
            type=task.type,
            waited_ms=round(taken.waited_s * 1000, 1),
        )
        fence = Fence(task_id=task.id, lease_id=lease_id, claim_no=task.claim_no)
        run = self._runs.start(Attempt(task=task, fence=fence, began_at=self._clock.monotonic()))
        if lease_id != self._keeper.last_lease_id:
            # It was closed while the claim's answer was on its way.
            self._runs.stop(run, Lost())

    async def _outcome(self, run: Run) -> Outcome:
        attempt = run.attempt
        handler = self._handlers.get(attempt.task.type)
        if handler is None:
            return Interrupted(reason=Reason.NO_HANDLER, after=_NO_HANDLER_PAUSE)
        lines = ClaimLog(self._task_log, attempt.task.id, attempt.task.claim_no)
        surroundings = RunSurroundings(run, lines, self._progress.report)
        context = Context(task=attempt.task, fence=attempt.fence, surroundings=surroundings)
        try:
            with lines:
                outcome = await execute(handler, context, result_bytes=self._result_bytes)
        except asyncio.CancelledError as error:
            if run.task is None or self._runs.is_dismissing:
                raise
            while run.task.uncancel():
                pass
            # Or nobody stopped the attempt: the handler cancelled itself, or awaited what was cancelled.
            return run.stop_as or Failed(error=describe(error))
        return outcome if run.stop_as is None else once_stopped(outcome, run.stop_as)

    async def _record(self, run: Run, outcome: Outcome) -> None:
        if not isinstance(outcome, Lost):
            await self._progress.settle(run.attempt.fence)
            self._finishing.begin(run.attempt, outcome, partial(self._runs.recorded, run))
            return
        ATTEMPTS_LOST.add(1)
        task = run.attempt.task
        log.warning("lease.lost", task_id=str(task.id), claim_no=task.claim_no, worker=self._worker)
        self._runs.recorded(run)

    async def _drain(self) -> None:
        """Let handlers finish for the grace time, then give their attempts back, which costs nothing."""
        try:
            async with asyncio.timeout(self._grace_s):
                while self._runs:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            log.info("worker.handing_back", worker=self._worker, tasks=self._runs.running)
        for run in self._runs.all():
            self._runs.stop(run, _STOPPED)
