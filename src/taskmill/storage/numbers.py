"""Finds a task by its number, which has no index: that would slow down each change of every task.

Numbers are given when tasks are stored, ids a little before. So ids and numbers have the same order, except for
tasks that were stored at about the same time. A binary search over the ids finds the millisecond; then the tasks
around it are searched.
"""

from typing import Final
from uuid import UUID

from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement

# How much earlier than its row a task's id may be: nearly always, and at most, with all retries of the insert.
_LATENESS_MS: Final = (1_000, 60_000)
# The bits of a UUIDv7 below its milliseconds.
_BELOW_TIME: Final = 80
_END_MS: Final = 2**48 - 1
_MOST: Final = 2**63 - 1


async def find_id(database: Database, number: int) -> UUID | None:
    """Return the id of the task with this number; None when there is none, or no longer.

    Raises:
        Unavailable: the database is away.
    """
    if not 0 < number <= _MOST:
        return None
    async with database.snapshot() as connection:
        if number > await connection.fetchval(statement("last_task_number")):
            return None
        start_ms, end_ms = await _narrowed(connection, number)
        for lateness_ms in _LATENESS_MS:
            found: UUID | None = await connection.fetchval(
                statement("find_task_numbered"),
                _bound(max(start_ms - lateness_ms, 0)),
                _bound(min(end_ms + lateness_ms, _END_MS)),
                number,
            )
            if found is not None:
                return UUID(int=found.int)
    return None


async def _narrowed(connection: Connection, number: int) -> tuple[int, int]:
    """Return the milliseconds between which a task with this number was stored, without allowing for lateness."""
    start_ms, end_ms, last_ms = 0, _END_MS, _END_MS
    while end_ms - start_ms > 1:
        middle_ms = (start_ms + end_ms) // 2
        row = await connection.fetchrow(statement("find_task_from"), _bound(middle_ms))
        # No task is between the middle and this one.
        found_ms = last_ms if row is None else row["id"].int >> _BELOW_TIME
        if row is None or row["number"] > number:
            end_ms, last_ms = middle_ms, found_ms
        else:
            start_ms = min(max(middle_ms, found_ms), end_ms)
    return start_ms, last_ms


def _bound(moment_ms: int) -> UUID:
    return UUID(int=moment_ms << _BELOW_TIME)
