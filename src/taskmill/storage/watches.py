"""Reads what tells that something has happened to a task: far less than the task."""

from collections.abc import Collection
from uuid import UUID

from taskmill.storage.database import Database


async def stamps(database: Database, ids: Collection[UUID]) -> dict[UUID, tuple[object, ...]]:
    """Return a stamp for each task that is there; another after each change, progress and logged line."""
    rows = await database.fetch("watch_tasks", list(ids))
    return {row["id"]: tuple(row.values()) for row in rows}
