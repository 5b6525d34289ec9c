"""Rescheduling by hand: a waiting task gets another due time, priority or queue."""

from collections.abc import Callable, Collection
from uuid import UUID

from taskmill.domain.errors import TransitionRefused, Unavailable, VersionMismatch
from taskmill.domain.lifecycle import Status
from taskmill.domain.quotas import Owner
from taskmill.domain.rescheduling import Place, Rescheduling, place_of, rescheduled
from taskmill.domain.task import Task
from taskmill.observability.flow import RESCHEDULED
from taskmill.observability.logs import get_logger
from taskmill.operations.queues import KnownQueues
from taskmill.operations.visibility import require_visible
from taskmill.storage import tasks
from taskmill.storage.database import RETRY_AFTER_S, Database

log = get_logger(__name__)

Guard = Callable[[Task], None]
"""Refuses a task for whoever asks, by raising; it is called before anything is changed."""

_ACTION = "reschedule"
# A task can move between waiting and running between two statements; each takes milliseconds.
_TRIES = 20


class Rescheduler:
    """Reschedules tasks of one database. `queues` makes those that a task is moved to."""

    def __init__(self, database: Database, queues: KnownQueues) -> None:
        self._database = database
        self._queues = queues

    async def __call__(
        self,
        task_id: UUID,
        wanted: Rescheduling,
        *,
        versions: Collection[int] | None = None,
        guard: Guard | None = None,
        owner: Owner | None = None,
    ) -> Task:
        """Change where and when a task waits, and return it; nothing happens if it waits like that already.

        With `versions`, only while it has one of them. A queue that does not exist is made as the owner's.

        Raises:
            TaskNotFound: there is no such task, or it is where this context sees none.
            VersionMismatch: it has another version.
            TransitionRefused: it does not wait.
            InvalidInput: it would expire before it is due.
            QueueLimitReached: the queue does not exist, and no more may be made.
            Unavailable: it kept moving between waiting and running.
        """
        for _ in range(_TRIES):
            task = await tasks.get_one(self._database, task_id)
            require_visible(task)
            if versions is not None and task.version not in versions:
                raise VersionMismatch(task_id, task.version, _ACTION)
            if task.status is not Status.NEW:
                raise TransitionRefused(task_id, task.status, _ACTION)
            if guard is not None:
                guard(task)
            place = rescheduled(task, wanted, await self._database.fetch_value("clock_now"))
            if place == place_of(task):
                return task
            if place.queue != task.queue:
                await self._make_queue(place.queue, owner)
            if await self._move(task, place):
                return await tasks.get_one(self._database, task_id)
        raise Unavailable(RETRY_AFTER_S, "a quiet moment of the task")

    async def _make_queue(self, name: str, owner: Owner | None) -> None:
        refused = await self._queues.refused((name,), owner)
        if error := refused.get(name):
            raise error

    async def _move(self, task: Task, place: Place) -> bool:
        """Return whether the task still waited as it was read."""
        arguments = (task.id, task.version, place.queue, place.priority, place.run_at)
        if not await self._database.fetch("reschedule_task", *arguments):
            return False
        RESCHEDULED.add(1)
        log.info("task.rescheduled", task_id=str(task.id), queue=place.queue)
        return True
