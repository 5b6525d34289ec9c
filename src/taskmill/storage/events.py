"""Reads the history of tasks; every change writes its own entry in its own statement."""

from uuid import UUID

import asyncpg

from taskmill.domain.lifecycle import Happening, Status
from taskmill.domain.system import TaskEvent
from taskmill.storage.database import Database


async def of_task(database: Database, task_id: UUID) -> list[TaskEvent]:
    """Return the entries of one task in order of their versions; empty when there is no such task."""
    return [event_of(row) for row in await database.fetch("list_events", task_id)]


async def latest_of_task(database: Database, task_id: UUID, limit: int) -> list[TaskEvent]:
    """Return the last entries of one task, `limit` at most, in order of their versions."""
    rows = await database.fetch("list_latest_events", task_id, limit)
    return [event_of(row) for row in reversed(rows)]


def event_of(row: asyncpg.Record) -> TaskEvent:
    """Return the entry that a row with all its columns is."""
    return TaskEvent(
        task_id=row["task_id"],
        version=row["version"],
        at=row["at"],
        happening=Happening(row["happening"]),
        status=Status(row["status"]),
        run=row["run"],
        attempt=row["attempt"],
        losses=row["losses"],
        claim_no=row["claim_no"],
        run_at=row["run_at"],
        worker=row["worker"],
        reason=row["reason"],
        error=row["error"],
    )
