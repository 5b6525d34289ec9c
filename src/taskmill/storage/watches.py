"""Reads stamps that show whether a task has changed: far less than the task."""

from collections.abc import Collection
from uuid import UUID

from taskmill.storage.database import Database


async def stamps(database: Database, ids: Collection[UUID]) -> dict[UUID, tuple[object, ...]]:
    """Return a stamp for each existing task; it differs after each change, progress report and log line."""
    rows = await database.fetch("watch_tasks", list(ids))
    return {row["id"]: tuple(row.values()) for row in rows}
