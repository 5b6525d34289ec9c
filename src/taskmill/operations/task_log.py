"""Reading what handlers logged, page by page."""

from uuid import UUID

from taskmill.domain.parts import Part
from taskmill.domain.task_log import LineFilter, LinePosition, LogLine
from taskmill.operations.read import TaskReading
from taskmill.storage import task_log
from taskmill.storage.database import Database


class TaskLogs:
    """The lines of tasks. `reading` checks that a task without lines exists."""

    def __init__(self, database: Database, reading: TaskReading) -> None:
        self._database = database
        self._reading = reading

    async def page(
        self, task_id: UUID, wanted: LineFilter, *, after: LinePosition, limit: int
    ) -> Part[LogLine]:
        """Return up to `limit` lines after `after`, oldest first. Raises `TaskNotFound`."""
        found = await task_log.page(self._database, task_id, wanted, after=after, limit=limit)
        if not found:
            await self._reading.get(task_id)
        return found

    async def latest(self, task_id: UUID, wanted: LineFilter, limit: int) -> list[LogLine]:
        """Return the last lines that are wanted, oldest first; none for an unknown task."""
        return await task_log.latest(self._database, task_id, wanted, limit)
