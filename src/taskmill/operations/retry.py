"""Retry by hand: a new run of a finished task."""

from collections.abc import Collection
from uuid import UUID

from taskmill.domain.errors import TaskNotFound, TransitionRefused, VersionMismatch
from taskmill.domain.lifecycle import TERMINAL
from taskmill.domain.task import Task
from taskmill.observability.flow import RUN_AGAIN
from taskmill.observability.logs import get_logger
from taskmill.storage import tasks
from taskmill.storage.database import Database

log = get_logger(__name__)


async def retry_task(
    database: Database, task_id: UUID, versions: Collection[int] | None = None
) -> Task:
    """Send a finished task back to `new` with one more `run`; with `versions` only while it has one of them.

    Raises:
        TaskNotFound: there is no such task.
        VersionMismatch: it has another version.
        TransitionRefused: it has not finished.
    """
    wanted = None if versions is None else sorted(versions)
    started = await database.fetch(
        "run_tasks_again", [task_id], sorted(TERMINAL), None, 0.0, wanted, for_one=True
    )
    found = (await tasks.get(database, {task_id})).get(task_id)
    if found is None:
        raise TaskNotFound(task_id)
    if not started and versions is not None and found.version not in versions:
        raise VersionMismatch(task_id, found.version, "retry")
    if not started:
        raise TransitionRefused(task_id, found.status, "retry")
    RUN_AGAIN.add(1)
    log.info("task.run_again", task_id=str(task_id), queue=found.queue, run=found.run)
    return found
