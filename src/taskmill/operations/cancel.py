"""Cancelling: at once while the task waits, by a request to its worker while it runs."""

from collections.abc import Collection
from uuid import UUID

from taskmill.domain.errors import TaskNotFound, TransitionRefused, Unavailable, VersionMismatch
from taskmill.domain.lifecycle import TERMINAL, Reason
from taskmill.domain.system import CancelResult
from taskmill.domain.task import Task
from taskmill.observability.flow import CANCELS
from taskmill.observability.logs import get_logger
from taskmill.operations.visibility import current_visibility, require_visible
from taskmill.storage import tasks
from taskmill.storage.database import RETRY_AFTER_S, Database

log = get_logger(__name__)

# A task can move between waiting and running between two statements; each takes milliseconds.
_TRIES = 20


async def cancel_task(
    database: Database, task_id: UUID, versions: Collection[int] | None = None
) -> tuple[CancelResult, Task]:
    """Cancel the task, or ask the worker that runs it to stop; with `versions` only while it has one of them.

    Raises:
        TaskNotFound: there is no such task, or it is where this context sees none.
        VersionMismatch: it has another version.
        TransitionRefused: it has finished.
        Unavailable: it kept moving between waiting and running.
    """
    for _ in range(_TRIES):
        wanted = await _wanted(database, task_id, versions)
        if await database.fetch(
            "cancel_waiting_tasks", [task_id], Reason.CANCELLED, wanted, for_one=True
        ):
            CANCELS.add(1, ("done",))
            log.info("task.cancelled", task_id=str(task_id))
            return CancelResult.CANCELLED, await tasks.get_one(database, task_id)
        if await database.fetch("request_cancels", [task_id], wanted, for_one=True):
            CANCELS.add(1, ("requested",))
            log.info("task.cancel_requested", task_id=str(task_id))
            return CancelResult.REQUESTED, await tasks.get_one(database, task_id)
        found = (await tasks.get(database, {task_id})).get(task_id)
        if found is None:
            raise TaskNotFound(task_id)
        if versions is not None and found.version not in versions:
            raise VersionMismatch(task_id, found.version, "cancel")
        if found.status in TERMINAL:
            raise TransitionRefused(task_id, found.status, "cancel")
    raise Unavailable(RETRY_AFTER_S, "a quiet moment of the task")


async def _wanted(
    database: Database, task_id: UUID, versions: Collection[int] | None
) -> list[int] | None:
    """Return the versions that may be cancelled, None for all.

    Where not all queues are visible, it is the one that it had when it was in a visible queue: it may be moved.
    """
    if current_visibility() is None:
        return None if versions is None else sorted(versions)
    task = await tasks.get_one(database, task_id)
    require_visible(task)
    return [task.version] if versions is None or task.version in versions else []
