"""The facade of the operations, which every entry point uses."""

import asyncio
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from taskmill.domain.activity import Activity, ActivityRequest, QueueActivity, Window
from taskmill.domain.errors import TaskNotFound
from taskmill.domain.explanation import Explanation
from taskmill.domain.failures import Failures
from taskmill.domain.figures import SystemFigures
from taskmill.domain.parts import Part
from taskmill.domain.system import (
    CancelResult,
    CreatedTask,
    PageRequest,
    QueueState,
    Readiness,
    Stats,
    Sweep,
    SweepStart,
    SweepStep,
    TaskEvent,
    TaskFilter,
    TaskPage,
    WorkerRequest,
    WorkerState,
)
from taskmill.domain.task import Task, TaskDraft
from taskmill.operations import cancel, explain, queues, read, retry, sweep, system
from taskmill.operations.broker import NO_BROKER, BrokerWatch
from taskmill.operations.contracts import Contracts
from taskmill.operations.create import CreationFuture, TaskCreation
from taskmill.operations.figures import FiguresCache
from taskmill.operations.read import TaskReading
from taskmill.operations.rejections import Rejections
from taskmill.operations.task_log import TaskLogs
from taskmill.storage import failures, leases, listing, minutes, numbers
from taskmill.storage.database import Database

_MOST_ACTIVITY_READS = 2
_MOST_LOST_SHOWN = 100


class TaskService:
    """Creates, reads and controls tasks; `rejections` are the refused messages, `logs` what handlers logged.

    `contracts` are the current contracts of types; the process that runs the service refreshes them. `offload`
    runs what would block the loop, such as reading large bodies.

    Use it as an async context manager.

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
        self.rejections = rejections
        self.logs = TaskLogs(database, reading)
        self.contracts = contracts or Contracts(database)
        self.offload = self.contracts.offload
        self._figures = figures or FiguresCache.of(database)
        self._database = database
        self._creation = creation
        self._reading = reading
        self._broker = broker
        # Reading what happened takes tens of ms: most connections stay free for quick statements.
        self._activity_limit = asyncio.Semaphore(_MOST_ACTIVITY_READS)

    async def __aenter__(self) -> Self:
        await self._creation.__aenter__()
        await self._reading.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._reading.__aexit__(kind, error, trace)
        await self._creation.__aexit__(kind, error, trace)

    async def create(self, draft: TaskDraft) -> CreatedTask:
        """Store a task and return after its commit.

        Raises:
            IdempotencyConflict: the key was used for a request with another body.
            QueueLimitReached: the queue is new, and the limit is reached.
        """
        return await self._creation.create(draft)

    def probe_key(self, draft: TaskDraft, timeout_s: float) -> "asyncio.Task[bool]":
        """Begin to find out whether another request holds this one's key; False when that can't be found out."""
        return self._creation.key_holders.probe(draft, timeout_s)

    def begin_create(self, draft: TaskDraft) -> CreationFuture | None:
        """Begin what `create` does; None when it takes more than a batch."""
        return self._creation.begin(draft)

    def begin_get(self, task_id: UUID) -> "asyncio.Future[Task | None] | None":
        """Begin what `get` does, with the result None for an unknown task; None when it can't begin now."""
        return self._reading.begin(task_id)

    async def create_all(self, drafts: Sequence[TaskDraft]) -> list[CreatedTask]:
        """Store all tasks in one transaction or none of them; the results are in the same order.

        Raises:
            IdempotencyConflict: as for `create`; then none of the new ones is stored.
            QueueLimitReached: as for `create`.
        """
        return await self._creation.create_all(drafts)

    async def submit_each(
        self, drafts: Sequence[TaskDraft]
    ) -> list[CreationFuture | CreatedTask | Exception]:
        """Begin to store tasks independently of each other: see `TaskCreation.submit_each`."""
        return await self._creation.submit_each(drafts)

    async def get(self, task_id: UUID) -> Task:
        """Return the task. Raises `TaskNotFound`."""
        return await self._reading.get(task_id)

    async def events(self, task_id: UUID, *, after: int = 0) -> Part[TaskEvent]:
        """Return the task's history after a version, oldest first, at most 1,000. Raises `TaskNotFound`."""
        return await read.events(self._database, task_id, after=after)

    async def latest_events(self, task_id: UUID, limit: int) -> list[TaskEvent]:
        """Return the last entries of the task's history, oldest first; none for an unknown task."""
        return await read.latest_events(self._database, task_id, limit)

    async def explain(self, task_id: UUID) -> Explanation:
        """Explain why the task is where it is. Raises `TaskNotFound`."""
        return await explain.explain_task(self._database, self._broker, task_id)

    async def page(self, wanted: TaskFilter, request: PageRequest) -> TaskPage:
        """Return a page of the tasks that the filter admits, newest first by default."""
        return await listing.page(self._database, wanted, request)

    async def find_id(self, number: int) -> UUID:
        """Return the id of the task with this number. Raises `TaskNotFound`."""
        found = await numbers.find_id(self._database, number)
        if found is None:
            raise TaskNotFound(number)
        return found

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
        return await cancel.cancel_task(self._database, task_id, versions)

    async def retry(self, task_id: UUID, versions: Collection[int] | None = None) -> Task:
        """Start a new run of a finished task, and return it. `versions` as for `cancel`.

        Raises:
            TaskNotFound: there is no such task.
            VersionMismatch: it has another version.
            TransitionRefused: it has not finished.
        """
        return await retry.retry_task(self._database, task_id, versions)

    async def sweep(
        self,
        action: Sweep,
        wanted: TaskFilter,
        start: SweepStart | None,
        *,
        dry_run: bool,
        most: int | None = None,
    ) -> SweepStep:
        """Cancel or retry tasks that the filter admits, at most `most`, for as long as a request may take.

        They are the tasks that existed when the sweep began, oldest first; its first step has no `start`.
        """
        return await sweep.step(self._database, action, wanted, start, dry_run=dry_run, most=most)

    async def sweep_ids(self, action: Sweep, ids: Collection[UUID]) -> SweepStep:
        """Cancel or retry the tasks with these ids, at most 1,000."""
        return await sweep.sweep_ids(self._database, action, ids)

    async def queues(self, *, is_brief: bool = False) -> list[QueueState]:
        """Return all queues by name; brief ones without `oldest_due_at` and `released`."""
        return await queues.list_queues(self._database, self._broker, is_brief=is_brief)

    async def with_oldest(self, states: Sequence[QueueState]) -> list[QueueState]:
        """Return some brief queues in the same order, with the time since which their oldest due task waits."""
        return await queues.with_oldest(self._database, states)

    async def set_queue_paused(self, name: str, *, paused: bool) -> QueueState:
        """Pause or resume a queue, which is created if needed, and return it. Raises `QueueLimitReached`."""
        queue = await queues.set_paused(self._database, self._creation.queues, name, paused=paused)
        return await queues.one_queue(self._database, self._broker, queue)

    async def remove_queue(self, name: str) -> None:
        """Remove a queue that is empty. Raises `QueueNotFound`, `QueueNotEmpty`."""
        await queues.remove(self._database, self._creation.queues, name)

    async def set_worker_request(
        self, lease_id: UUID, request: WorkerRequest | None, *, when_empty: bool = False
    ) -> WorkerState:
        """Request a worker to be quiet or to stop, or (None) to resume. Raises `WorkerNotFound`, `WorkerGone`.

        It stops at once, or `when_empty`: it is quiet until it runs nothing more.
        """
        return await system.set_worker_request(
            self._database, lease_id, request, when_empty=when_empty
        )

    async def lost_tasks(self, lease_id: UUID) -> list[Task]:
        """Return the tasks that a worker ran when it was lost, as they are now, at most 100."""
        found = await leases.find_lost(self._database, lease_id)
        return await listing.of_ids(self._database, found[:_MOST_LOST_SHOWN])

    async def workers(self, *, only: UUID | None = None) -> list[WorkerState]:
        """Return the live workers, and those that ended lately, newest first; or `only` one of them."""
        return await system.list_workers(self._database, only=only)

    async def stats(
        self, request: ActivityRequest | None = None, *, is_brief: bool = False
    ) -> Stats:
        """Return the counts of tasks, the capacity of the workers, and the broker's state.

        With a request, also what happened lately. Brief ones leave out `released`, which reads what waits.
        """
        if request is None:
            return await system.stats(self._database, self._broker, is_brief=is_brief)
        async with self._activity_limit:
            return await system.stats(self._database, self._broker, request)

    async def activity(self, request: ActivityRequest) -> Activity:
        """Return what happened lately, without counts."""
        async with self._activity_limit:
            return await minutes.read(self._database, request)

    async def queue_activity(self, window: Window, queues: Collection[str]) -> QueueActivity:
        """Return what happened in some queues lately."""
        async with self._activity_limit:
            return await minutes.read_queues(self._database, window, queues)

    async def failures(self, window: Window, limit: int) -> Failures:
        """Return what failed over one of `domain.failures.WINDOWS`, at most `limit` kinds."""
        return await failures.read(self._database, window, limit)

    async def figures(self) -> SystemFigures | None:
        """Return the figures of the whole system, at most some seconds old; None while they can't be read."""
        return await self._figures.get()

    async def readiness(self) -> Readiness:
        """Check that the database is reached and has the schema that this code needs. Never raises."""
        return await system.readiness(self._database, self._broker, self._creation.writability)
