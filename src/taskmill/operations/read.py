"""Reading single tasks and their history: requests for tasks at the same time share one statement."""

import asyncio
from uuid import UUID

from taskmill.domain.errors import TaskNotFound, Unavailable
from taskmill.domain.parts import Part
from taskmill.domain.system import TaskEvent
from taskmill.domain.task import Task
from taskmill.runtime.batching import Batcher, Overloaded
from taskmill.runtime.context_owner import ContextOwner
from taskmill.storage import events, faults, numbers, tasks
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.wire.traceparent import trace_id_of

_MOST_IDS = 500
_MOST_EVENTS = 1000


class TaskReading(ContextOwner):
    """Reads tasks by id, and their events. Use it as an async context manager.

    Its methods raise `TaskNotFound`, and `Unavailable` when the database is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batch: Batcher[UUID, Task | None] = Batcher(
            self._read, name="read", max_size=_MOST_IDS, may_be_item_fault=faults.may_be_item_fault
        )
        super().__init__(self._batch)

    async def get(self, task_id: UUID) -> Task:
        """Return the task as it was committed at some moment after this call began."""
        try:
            task = await self._batch(task_id)
        except Overloaded as error:
            raise Unavailable(RETRY_AFTER_S, "room for more reads") from error
        if task is None:
            raise TaskNotFound(task_id)
        return task

    def begin(self, task_id: UUID) -> asyncio.Future[Task | None] | None:
        """Begin to read the task (the result is None for an unknown one); None when too many reads wait."""
        try:
            return self._batch.submit(task_id)
        except Overloaded:
            return None

    async def events(self, task_id: UUID, *, after: int = 0) -> Part[TaskEvent]:
        """Return the task's history after a version, oldest first, at most 1,000; after 0 it is never empty."""
        history = await events.of_task(self._database, task_id, after=after, limit=_MOST_EVENTS)
        if not history and not after:
            raise TaskNotFound(task_id)
        return history

    async def latest_events(self, task_id: UUID, limit: int) -> list[TaskEvent]:
        """Return the last entries of the task's history, oldest first; none for an unknown task."""
        return await events.latest_of_task(self._database, task_id, limit)

    async def trace_id(self, task_id: UUID) -> str | None:
        """Return the id of the trace within which the task was created; None if there was none."""
        found = await tasks.traceparent(self._database, task_id)
        return None if found is None else trace_id_of(found)

    async def find_id(self, number: int) -> UUID:
        """Return the id of the task with this number."""
        found = await numbers.find_id(self._database, number)
        if found is None:
            raise TaskNotFound(number)
        return found

    async def _read(self, ids: list[UUID]) -> list[Task | None]:
        found = await tasks.get(self._database, set(ids))
        return [found.get(task_id) for task_id in ids]
