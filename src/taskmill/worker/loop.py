"""The worker's loop: claim while there are free slots, run every claim in its own task, stop in order.

What a handler did is recorded by `finishing`, the right to run by `lease`; how tasks are found is the
transport's affair.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Failed, Interrupted, Lost, Outcome, Reason
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.runtime.periodic import pause
from taskmill.storage import claims
from taskmill.storage.claims import Fence, TakenTask
from taskmill.storage.database import Database
from taskmill.transports.base import Transport
from taskmill.worker.execution import describe, execute
from taskmill.worker.finishing import Attempt, Finishing, decided
from taskmill.worker.handlers import Context, Handlers
from taskmill.worker.lease import LeaseKeeper

log = get_logger(__name__)

_NO_HANDLER_PAUSE = timedelta(seconds=30)
_OUTAGE_PAUSE_S = 0.5
# Once in a while PostgreSQL is asked what it believes we run, for whatever no other rule foresaw.
_AUDIT_S = 60.0
_STOPPED = Interrupted(reason=Reason.WORKER_STOPPED)

RunKey: TypeAlias = tuple[UUID, int]


@dataclass(slots=True, kw_only=True)
class _Run:
    """An attempt under way. `stop_as` is set by whoever cancels it; a finishing one is not cancelled."""

    attempt: Attempt
    has_begun: bool = False
    is_finishing: bool = False
    stop_as: Outcome | None = None
    task: asyncio.Task[None] | None = None

    def stop(self, outcome: Outcome) -> None:
        """Cancel the handler; the attempt then ends with `outcome`."""
        if self.is_finishing or self.stop_as is not None or self.task is None:
            return
        self.stop_as = outcome
        # A task that is cancelled before its first step never gets to clean up after itself.
        if self.has_begun:
            self.task.cancel()


class Worker:
    """A service that runs tasks, up to `slots` at a time; `until_idle` ends it when nothing is due."""

    name = "worker"

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        transport: Transport,
        keeper: LeaseKeeper,
        finishing: Finishing,
        handlers: Handlers,
        clock: Clock,
        slots: int,
        claim_size: int,
        grace_s: float,
        result_bytes: int,
        until_idle: bool = False,
    ) -> None:
        self._until_idle = until_idle
        self._database = database
        self._worker = worker
        self._transport = transport
        self._keeper = keeper
        self._finishing = finishing
        self._handlers = handlers
        self._clock = clock
        self._slots = slots
        self._claim_size = claim_size
        self._grace_s = grace_s
        self._result_bytes = result_bytes
        self._running: dict[RunKey, _Run] = {}
        self._news = asyncio.Event()
        self._in_doubt: UUID | None = None
        self._audit_due_at = clock.monotonic() + _AUDIT_S

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; then finish what runs, or hand it back when the grace time is over."""
        self._keeper.start(changed=self._on_lease_change, running=lambda: len(self._running))
        log.info("worker.started", worker=self._worker, slots=self._slots)
        try:
            async with self._finishing, asyncio.TaskGroup() as runs:
                notice = runs.create_task(self._notice(stop))
                await self._claim_until(stop, runs)
                self._transport.rest()
                with suppress(Unavailable):
                    await self._reconcile()
                await self._drain()
                notice.cancel()
        finally:
            await self._keeper.stop()
        log.info("worker.stopped", worker=self._worker)

    async def _notice(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._transport.wake()
        self._news.set()

    def _on_lease_change(self) -> None:
        """Stop what ran under a lease that was closed: somebody else has it, or will have it soon."""
        current = self._keeper.last_lease_id
        for run in self._running.values():
            if run.attempt.fence.lease_id != current:
                run.stop(Lost())
        self._news.set()

    async def _claim_until(self, stop: asyncio.Event, runs: asyncio.TaskGroup) -> None:
        while not stop.is_set():
            self._news.clear()
            lease_id = self._keeper.lease_id
            free = self._slots - len(self._running)
            if lease_id is None or free <= 0:
                self._transport.rest()
                await self._news.wait()
                continue
            try:
                await self._audit(lease_id)
                self._in_doubt = lease_id
                taken = await self._transport.take(lease_id, min(free, self._claim_size))
                self._in_doubt = None
            except (Unavailable, asyncpg.PostgresError) as error:
                log.warning("claim.failed", worker=self._worker, error=str(error))
                await pause(stop, _OUTAGE_PAUSE_S)
                continue
            for one in taken:
                self._start(one, lease_id, runs)
            if taken:
                continue
            if self._until_idle and not self._running:
                return
            await self._transport.wait()

    async def _audit(self, lease_id: UUID) -> None:
        if self._in_doubt is None and self._clock.monotonic() > self._audit_due_at:
            self._in_doubt = lease_id
        await self._reconcile()

    async def _reconcile(self) -> None:
        """Give back what PostgreSQL has as ours and nobody runs, as after a claim whose answer was lost."""
        if self._in_doubt is None:
            return
        held = await claims.find_of_lease(self._database, self._in_doubt)
        orphans = [c for c in held if (c.fence.task_id, c.fence.claim_no) not in self._running]
        if orphans:
            ends = [decided(c.fence, _STOPPED, c.claim, jitter=0) for c in orphans]
            await claims.end(self._database, ends, worker=self._worker)
            log.warning("claim.reconciled", worker=self._worker, tasks=len(orphans))
        self._in_doubt = None
        self._audit_due_at = self._clock.monotonic() + _AUDIT_S

    def _start(self, taken: TakenTask, lease_id: UUID, runs: asyncio.TaskGroup) -> None:
        task = taken.task
        log.info(
            "task.claimed",
            task_id=str(task.id),
            claim_no=task.claim_no,
            attempt=task.attempt,
            worker=self._worker,
            queue=task.queue,
            type=task.type,
            waited_ms=round(taken.waited_s * 1000, 1),
        )
        fence = Fence(task_id=task.id, lease_id=lease_id, claim_no=task.claim_no)
        run = _Run(attempt=Attempt(task=task, fence=fence, began_at=self._clock.monotonic()))
        self._running[(task.id, task.claim_no)] = run
        run.task = runs.create_task(self._carry_out(run))
        if lease_id != self._keeper.last_lease_id:
            # It was closed while the claim's answer was on its way.
            run.stop(Lost())

    async def _carry_out(self, run: _Run) -> None:
        task = run.attempt.task
        run.has_begun = True
        try:
            outcome = run.stop_as or await self._outcome(run)
            run.is_finishing = True
            if isinstance(outcome, Lost):
                log.warning(
                    "lease.lost", task_id=str(task.id), claim_no=task.claim_no, worker=self._worker
                )
            else:
                await self._finishing.finish(run.attempt, outcome)
        finally:
            del self._running[(task.id, task.claim_no)]
            self._news.set()

    async def _outcome(self, run: _Run) -> Outcome:
        attempt = run.attempt
        handler = self._handlers.get(attempt.task.type)
        if handler is None:
            return Interrupted(reason=Reason.NO_HANDLER, after=_NO_HANDLER_PAUSE)
        context = Context(task=attempt.task, lease_id=attempt.fence.lease_id)
        try:
            return await execute(handler, context, result_bytes=self._result_bytes)
        except asyncio.CancelledError as error:
            if run.task is None or (run.stop_as is None and run.task.cancelling()):
                raise
            if run.stop_as is None:
                # Nobody cancelled the attempt: the handler awaited something that was cancelled.
                return Failed(error=describe(error))
            run.task.uncancel()
            return run.stop_as

    async def _drain(self) -> None:
        """Let handlers finish for the grace time, then give their attempts back, which costs nothing."""
        try:
            async with asyncio.timeout(self._grace_s):
                while self._running:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            log.info("worker.handing_back", worker=self._worker, tasks=len(self._running))
        for run in list(self._running.values()):
            run.stop(_STOPPED)
