"""The facade of the operations, which every entry point uses."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from importlib import import_module
from typing import Final
from uuid import UUID

from taskmill.domain.activity import Activity, ActivityRequest, AnyWindow, QueueActivity
from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.explanation import Explanation
from taskmill.domain.levels import FailedGroups, WorkerSpans
from taskmill.domain.marks import Mark
from taskmill.domain.quotas import Owner
from taskmill.domain.rescheduling import Rescheduling
from taskmill.domain.slow_tasks import SlowTask
from taskmill.domain.system import (
    CancelResult,
    Pace,
    PageRequest,
    QueueState,
    Readiness,
    Stats,
    Sweep,
    SweepStart,
    SweepStep,
    TaskFilter,
    TaskPage,
    WorkerRequest,
    WorkerState,
)
from taskmill.domain.task import Task
from taskmill.domain.task_groups import TaskGroups
from taskmill.operations import cancel, explain, queues, retry, system, workers
from taskmill.operations.attention import AttentionReading
from taskmill.operations.audit import SWEEP_ACTIONS, AuditLog, sweep_details
from taskmill.operations.broker import NO_BROKER, BrokerWatch
from taskmill.operations.contracts import Contracts
from taskmill.operations.create import TaskCreation
from taskmill.operations.failures import FailureKinds
from taskmill.operations.figures import FiguresCache
from taskmill.operations.jobs import Jobs
from taskmill.operations.masking import Masking
from taskmill.operations.read import TaskReading
from taskmill.operations.refusal_counts import RefusalCounts
from taskmill.operations.rejections import Rejections
from taskmill.operations.reschedule import Guard, Rescheduler
from taskmill.operations.task_log import TaskLogs
from taskmill.operations.visibility import current_visibility, narrowed, visible_queues
from taskmill.runtime.services import Service
from taskmill.storage import flow_details, leases, minutes
from taskmill.storage.database import Database
from taskmill.wire.basics import format_duration

_MOST_ACTIVITY_READS = 2
_MOST_LOST_SHOWN = 100
_WORKER_ACTIONS: Final[Mapping[WorkerRequest | None, AuditAction]] = {
    WorkerRequest.QUIET: AuditAction.WORKER_QUIET,
    WorkerRequest.STOP: AuditAction.WORKER_STOP,
    None: AuditAction.WORKER_RESUME,
}


class TaskService:
    """Controls tasks, and shows the system. What is a class of its own is an attribute.

    `creation` stores tasks, `reading` reads single ones, `rejections` are the refused messages, `logs` what
    handlers logged, `failures` the kinds of failures, `figures` those of the whole system, `attention` what needs
    it. `audit` records what operators ask for, `refusals` counts what may not be served, `jobs` change many tasks
    in the background. Its process runs its `services`.
    `contracts` are the current contracts of types; the process that runs the service refreshes them. `masking`
    hides what they mark as secret. `offload` runs what would block the loop, such as reading large bodies.

    `creation` and `reading` are async context managers, to be entered before it is used.

    Every method raises `Unavailable` when the database is away.
    """

    def __init__(
        self,
        database: Database,
        creation: TaskCreation,
        reading: TaskReading,
        rejections: Rejections,
        *,
        broker: BrokerWatch = NO_BROKER,
        figures: FiguresCache | None = None,
        contracts: Contracts | None = None,
    ) -> None:
        self.audit = AuditLog(database)
        self.refusals = RefusalCounts(self.audit)
        self.jobs = Jobs(database, self.audit, creation.ids)
        self.rejections = rejections
        self.logs = TaskLogs(database, reading)
        self.failures = FailureKinds(database, self.audit)
        self.contracts = contracts or Contracts(database)
        self.masking = Masking(self.contracts)
        self.offload = self.contracts.offload
        self._reschedule = Rescheduler(database, creation.queues)
        self.figures = figures or FiguresCache.of(database)
        self.database = database
        self.creation = creation
        self.reading = reading
        self.broker = broker
        self.attention = AttentionReading(
            database, broker, self.figures, self.audit, creation.writability
        )
        # Reading what happened takes tens of ms: most connections stay free for quick statements.
        self._activity_limit = asyncio.Semaphore(_MOST_ACTIVITY_READS)
        self._has_lists = False

    @property
    def services(self) -> list[Service]:
        """The services that its process runs."""
        return [self.refusals, self.jobs, self.attention.refresher]

    async def explain(self, task_id: UUID) -> Explanation:
        """Explain why the task is where it is. Raises `TaskNotFound`."""
        return await explain.explain_task(self.database, self.broker, task_id)

    async def page(self, wanted: TaskFilter, request: PageRequest) -> TaskPage:
        """Return a page of the tasks that the filter admits, newest first by default."""
        await self._load_lists()
        from taskmill.storage import listing  # noqa: PLC0415 - see `_load_lists`

        return await listing.page(self.database, await narrowed(self.database, wanted), request)

    async def cancel(
        self, task_id: UUID, versions: Collection[int] | None = None
    ) -> tuple[CancelResult, Task]:
        """Cancel a waiting task at once, or request a running one to stop; return the task as it is then.

        With `versions`, only while it has one of them.

        Raises:
            TaskNotFound: there is no such task.
            VersionMismatch: it has another version.
            TransitionRefused: it has finished.
        """
        target = Target(TargetType.TASK, str(task_id))
        async with self.audit.record(AuditAction.TASK_CANCEL, target) as outcome:
            result, task = await cancel.cancel_task(self.database, task_id, versions)
            outcome["result"] = result
        return result, task

    async def retry(self, task_id: UUID, versions: Collection[int] | None = None) -> Task:
        """Start a new run of a finished task, and return it. `versions` as for `cancel`.

        Raises:
            TaskNotFound: there is no such task.
            VersionMismatch: it has another version.
            TransitionRefused: it has not finished.
        """
        target = Target(TargetType.TASK, str(task_id))
        async with self.audit.record(AuditAction.TASK_RETRY, target):
            return await retry.retry_task(self.database, task_id, versions)

    async def reschedule(
        self,
        task_id: UUID,
        wanted: Rescheduling,
        *,
        versions: Collection[int] | None = None,
        guard: Guard | None = None,
        owner: Owner | None = None,
    ) -> Task:
        """Change where and when a waiting task waits, as `Rescheduler` does, and record it."""
        target = Target(TargetType.TASK, str(task_id))
        action = AuditAction.TASK_RESCHEDULE
        async with self.audit.record(action, target, details=wanted.details) as outcome:
            task = await self._reschedule(
                task_id, wanted, versions=versions, guard=guard, owner=owner
            )
            outcome.update(queue=task.queue, priority=task.priority, run_at=task.run_at)
        return task

    async def sweep(
        self,
        action: Sweep,
        wanted: TaskFilter,
        start: SweepStart | None,
        *,
        dry_run: bool,
        limit: int | None = None,
        pace: Pace | None = None,
    ) -> SweepStep:
        """Do a step as `sweep_step` does, and record it, unless it only counts."""
        if dry_run:
            return await self.sweep_step(action, wanted, start, dry_run=True, limit=limit)
        details = {**sweep_details(wanted, limit, pace), "is_continued": start is not None}
        async with self.audit.record(SWEEP_ACTIONS[action], details=details) as outcome:
            step = await self.sweep_step(action, wanted, start, limit=limit, pace=pace)
            outcome.update(matched=step.matched, changed=step.changed, requested=step.requested)
            return step

    async def sweep_step(
        self,
        action: Sweep,
        wanted: TaskFilter,
        start: SweepStart | None,
        *,
        dry_run: bool = False,
        limit: int | None = None,
        pace: Pace | None = None,
    ) -> SweepStep:
        """Cancel or retry tasks that the filter admits, at most `limit`, for as long as a request may take.

        They are the tasks that existed when the sweep began, oldest first; its first step has no `start`. The
        caller records the sweep.
        """
        await self._load_lists()
        from taskmill.operations import sweep  # noqa: PLC0415 - see `_load_lists`

        seen = await narrowed(self.database, wanted)
        return await sweep.step(
            self.database, action, seen, start, dry_run=dry_run, limit=limit, pace=pace
        )

    async def groups(
        self,
        action: Sweep,
        wanted: TaskFilter,
        ids: Collection[UUID] = (),
        *,
        limit: int | None = None,
    ) -> TaskGroups:
        """Return of which queues and types the tasks are that a sweep would change, or those with these ids."""
        await self._load_lists()
        from taskmill.operations import task_groups  # noqa: PLC0415 - see `_load_lists`

        if ids:
            return await task_groups.of_ids(self.database, ids, current_visibility())
        seen = await narrowed(self.database, wanted)
        return await task_groups.read(self.database, action, seen, limit=limit)

    async def queues(self, *, is_brief: bool = False) -> list[QueueState]:
        """Return all queues by name; brief ones without `oldest_due_at`."""
        visible = await visible_queues(self.database)
        return await queues.list_queues(self.database, visible, is_brief=is_brief)

    async def with_oldest(self, states: Sequence[QueueState]) -> list[QueueState]:
        """Return some brief queues in the same order, with the time since which their oldest due task waits."""
        return await queues.with_oldest(self.database, states)

    async def with_waiting(self, states: Sequence[QueueState]) -> list[QueueState]:
        """Return some brief queues in the same order, with what their new tasks wait for."""
        return await queues.with_waiting(self.database, states)

    async def set_queue_paused(self, name: str, *, paused: bool) -> QueueState:
        """Pause or resume a queue, which is created if needed, and return it. Raises `QueueLimitReached`."""
        action = AuditAction.QUEUE_PAUSE if paused else AuditAction.QUEUE_RESUME
        async with self.audit.record(action, Target(TargetType.QUEUE, name)):
            queue = await queues.set_paused(
                self.database, self.creation.queues, name, paused=paused
            )
        return await queues.one_queue(self.database, queue)

    async def set_queue_keep(self, name: str, keep: timedelta | None) -> QueueState:
        """Set how long a queue keeps its ended tasks, as `queues.set_keep` does, and record it."""
        details = {"keep": None if keep is None else format_duration(keep)}
        target = Target(TargetType.QUEUE, name)
        async with self.audit.record(AuditAction.QUEUE_KEEP, target, details=details):
            queue = await queues.set_keep(self.database, self.creation.queues, name, keep)
        return await queues.one_queue(self.database, queue)

    async def remove_queue(self, name: str, *, with_keep: bool = True) -> None:
        """Remove a queue that is empty. Raises `QueueNotFound`, `QueueNotEmpty`.

        Without `with_keep` it raises `ScopeMissing` for one that keeps its ended tasks for its own time.
        """
        async with self.audit.record(AuditAction.QUEUE_DELETE, Target(TargetType.QUEUE, name)):
            await queues.remove(self.database, self.creation.queues, name, with_keep=with_keep)

    async def set_worker_request(
        self, lease_id: UUID, request: WorkerRequest | None, *, when_empty: bool = False
    ) -> WorkerState:
        """Request a worker to be quiet or to stop, or (None) to resume. Raises `WorkerNotFound`, `WorkerGone`.

        It stops at once, or `when_empty`: it is quiet until it runs nothing more.
        """
        details = {"when_empty": True} if when_empty else {}
        target = Target(TargetType.WORKER, str(lease_id))
        async with self.audit.record(_WORKER_ACTIONS[request], target, details=details) as outcome:
            worker = await workers.set_worker_request(
                self.database, lease_id, request, when_empty=when_empty
            )
            outcome["name"] = worker.name
        return worker

    async def lost_tasks(self, lease_id: UUID) -> list[Task]:
        """Return the tasks that a worker ran when it was lost, as they are now, at most 100."""
        await self._load_lists()
        from taskmill.storage import listing  # noqa: PLC0415 - see `_load_lists`

        found = await leases.find_lost(self.database, lease_id)
        lost = await listing.of_ids(self.database, found[:_MOST_LOST_SHOWN])
        visibility = current_visibility()
        return [one for one in lost if visibility is None or visibility.shows(one.queue)]

    async def workers(self, *, only: UUID | None = None) -> list[WorkerState]:
        """Return the live workers, and those that ended lately, newest first; or `only` one of them."""
        return await workers.list_workers(self.database, only=only)

    async def stats(self, request: ActivityRequest | None = None) -> Stats:
        """Return the counts of tasks, the capacity of the workers, the broker's state, and what happened lately.

        The latter only with a request.
        """
        visible = await visible_queues(self.database)
        if request is None:
            return await system.stats(self.database, self.broker, visible=visible)
        async with self._activity_limit:
            return await system.stats(self.database, self.broker, request, visible)

    async def activity(self, request: ActivityRequest) -> Activity:
        """Return what happened lately, without counts."""
        visible = await visible_queues(self.database)
        async with self._activity_limit:
            return await minutes.read(self.database, request, visible)

    async def queue_activity(self, window: AnyWindow, queues: Collection[str]) -> QueueActivity:
        """Return what happened in some queues lately."""
        async with self._activity_limit:
            return await minutes.read_queues(self.database, window, queues)

    async def failed_groups(self, request: ActivityRequest, *, most: int) -> FailedGroups:
        """Return how many tasks failed by step and by queue, by type if the request names a queue."""
        visible = await visible_queues(self.database)
        async with self._activity_limit:
            return await flow_details.failed_groups(self.database, request, visible, most=most)

    async def slowest(
        self, window: AnyWindow, *, queue: str | None = None, type_: str | None = None, limit: int
    ) -> list[SlowTask]:
        """Return the slowest of the newest tasks of a queue, or of a type: created in a window, and ended."""
        visible = await visible_queues(self.database)
        if queue is not None and visible is not None and queue not in visible:
            return []
        return await flow_details.slowest(
            self.database, window, visible, queue=queue, type_=type_, limit=limit
        )

    async def pause_changes(
        self, since: datetime, until: datetime, queues: Collection[str] | None = None
    ) -> list[Mark]:
        """Return when queues (None: all that may be seen) were paused and resumed within a time."""
        visible = await visible_queues(self.database)
        if visible is not None:
            queues = visible if queues is None else visible.intersection(queues)
        return await flow_details.pause_changes(self.database, since, until, queues)

    async def worker_spans(self, queue: str | None = None) -> WorkerSpans:
        """Return from when to when the workers of the last day were alive, of those that serve a queue."""
        visible = await visible_queues(self.database)
        return await flow_details.worker_spans(self.database, queue, visible)

    async def readiness(self) -> Readiness:
        """Check that the database is reached and has the schema that this code needs. Never raises."""
        return await system.readiness(self.database, self.broker, self.creation.writability)

    async def _load_lists(self) -> None:
        """Import what composes lists at its first use, on a thread: it takes 0.4 s and 20 MB."""
        if not self._has_lists:
            await asyncio.to_thread(import_module, "taskmill.operations.sweep")
            self._has_lists = True
