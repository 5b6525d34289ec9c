"""Reads the history of tasks; every change writes its own entry in its own statement."""

from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain.lifecycle import EventType, Reason, Status
from taskmill.domain.parts import PAGE_BYTES, Part
from taskmill.domain.system import TaskEvent
from taskmill.storage.database import Database
from taskmill.storage.statements import part

# What programs of before write. Histories have very many rows, so it stays in them as it is.
_RENAMED: Final = {"retry_asked": str(Reason.RETRY_REQUESTED)}


async def of_task(database: Database, task_id: UUID, *, after: int, limit: int) -> Part[TaskEvent]:
    """Return up to `limit` entries of a task after a version, in order; none for an unknown task."""
    rows = await database.fetch("list_events", task_id, after, limit + 1, PAGE_BYTES)
    return part(rows, limit, event_of)


async def latest_of_task(database: Database, task_id: UUID, limit: int) -> list[TaskEvent]:
    """Return the last entries of one task, `limit` at most, in order of their versions."""
    rows = await database.fetch("list_latest_events", task_id, limit)
    return [event_of(row) for row in reversed(rows)]


def event_of(row: asyncpg.Record) -> TaskEvent:
    """Make an entry of a row that has all its columns."""
    return TaskEvent(
        task_id=row["task_id"],
        version=row["version"],
        at=row["at"],
        event_type=EventType(row["event"]),
        status=Status(row["status"]),
        run=row["run"],
        attempt=row["attempt"],
        losses=row["losses"],
        claim_no=row["claim_no"],
        run_at=row["run_at"],
        worker=row["worker"],
        reason=reason_of(row["reason"]),
        error=row["error"],
    )


def reason_of(stored: str | None) -> str | None:
    """Return a stored reason by its name of today."""
    return stored if stored is None else _RENAMED.get(stored, stored)
