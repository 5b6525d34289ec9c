"""Retry by hand: a new run of a finished task."""

from uuid import UUID

from taskmill.domain.errors import TaskNotFound, TransitionRefused
from taskmill.domain.lifecycle import TERMINAL
from taskmill.domain.task import Task
from taskmill.observability.flow import RUN_AGAIN
from taskmill.observability.logs import get_logger
from taskmill.storage import tasks
from taskmill.storage.database import Database

log = get_logger(__name__)


async def retry_task(database: Database, task_id: UUID) -> Task:
    """Send a finished task back to `new` with one more `run`.

    Raises:
        TaskNotFound: there is no such task.
        TransitionRefused: it has not finished.
    """
    started = await database.fetch("run_tasks_again", [task_id], sorted(TERMINAL))
    found = (await tasks.get(database, {task_id})).get(task_id)
    if found is None:
        raise TaskNotFound(task_id)
    if not started:
        raise TransitionRefused(task_id, found.status, "retry")
    RUN_AGAIN.add(1)
    log.info("task.run_again", task_id=str(task_id), queue=found.queue, run=found.run)
    return found
