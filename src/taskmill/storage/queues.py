"""Makes queues on their first use, changes them, and removes those that are empty.

A queue is a row with a name: tasks only name it. A queue that is removed just as a task arrives loses nothing: it
is made anew by a check after the commit, or by maintenance within a minute.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from taskmill.storage.database import Database
from taskmill.storage.statements import statement

IDLE_S: Final = 86_400.0
"""A queue without activity for so long, or up to an hour longer, is removed."""
MOST_BUCKETS: Final = 2_500
"""The most buckets that `oldest_due` reads: 35 ms (2026-11-28)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A queue without what is in it."""

    name: str
    paused_at: datetime | None
    created_at: datetime
    keep: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """The result of removing a queue: removed, unknown, or refused: it has a time, or tasks wait or run."""

    is_known: bool
    is_removed: bool
    has_keep: bool
    waiting: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OldestDue:
    """Since when the oldest due task of a queue and type has waited."""

    queue: str
    type: str
    since: datetime
    for_s: float


async def names(database: Database) -> set[str]:
    """Return the names of all queues that have a row."""
    return {row["name"] for row in await database.fetch("list_pauses")}


async def names_with_tasks(database: Database) -> set[str]:
    """Return the names of all queues that have a row, or had tasks."""
    return {row["name"] for row in await database.fetch("list_queue_names")}


async def types_in(database: Database, names: Iterable[str]) -> set[str]:
    """Return the types of the tasks of some queues."""
    return {row["type"] for row in await database.fetch("list_queue_types", sorted(names))}


async def task_types(database: Database, most: int) -> set[str]:
    """Return the types of all tasks: up to `most` of what ended, and of the first that wait or run."""
    return {row["type"] for row in await database.fetch("list_task_types", most, MOST_BUCKETS)}


async def add(
    database: Database,
    names: Iterable[str],
    *,
    limit: int,
    owner: str | None = None,
    most: int | None = None,
) -> set[str]:
    """Make the queues that are missing, as long as there are fewer than `limit`; return those that exist.

    They are of the API key with the name `owner`, which may have `most` of them if that is given.
    """
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_queues"))
        rows = await connection.fetch(statement("add_queues"), sorted(names), limit, owner, most)
    return {row["name"] for row in rows}


async def count_own(database: Database, owner: str) -> int:
    """Return how many queues tasks of the API key with a name have made."""
    count: int = await database.fetch_value("count_own_queues", owner)
    return count


async def set_pause(database: Database, name: str, *, paused: bool) -> QueueRow | None:
    """Pause or resume a queue; return it, None when there is none."""
    rows = await database.fetch("set_queue_pause", name, paused)
    return _queue(rows[0]) if rows else None


async def set_keep(database: Database, name: str, keep: timedelta | None) -> QueueRow | None:
    """Set how long a queue keeps its ended tasks, None for what the settings say; return it, if there is one."""
    rows = await database.fetch("set_queue_keep", name, keep)
    return _queue(rows[0]) if rows else None


async def all_queues(database: Database) -> list[QueueRow]:
    """Return all queues, by name."""
    return [_queue(row) for row in await database.fetch("list_queues")]


async def remove(database: Database, name: str, *, with_keep: bool) -> Removal:
    """Remove a queue if nothing waits or runs in it; `with_keep` also one that has a time of its own."""
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_queues"))
        [row] = await connection.fetch(statement("remove_queue"), name, with_keep)
    if row["is_removed"]:
        await restore(database)
    return Removal(
        is_known=row["is_known"] or row["waiting"] > 0 or row["running"] > 0,
        is_removed=row["is_removed"],
        has_keep=row["has_keep"],
        waiting=row["waiting"],
        running=row["running"],
    )


async def restore(database: Database) -> list[str]:
    """Make removed queues that have tasks anew; return their names."""
    return await _under_lock(database, statement("restore_queues"))


async def prune(database: Database, *, idle_s: float = IDLE_S) -> list[str]:
    """Remove queues that were idle for `idle_s`; return their names.

    Those stay that are paused, keep their ended tasks for their own time, or are named by a contract.
    """
    pruned = await _under_lock(database, statement("prune_queues"), idle_s)
    if pruned:
        await restore(database)
    return pruned


async def oldest_due(
    database: Database, names: Iterable[str], *, most: int = MOST_BUCKETS
) -> list[OldestDue]:
    """Return since when the oldest due tasks of these queues have waited, by type.

    Reads at most `most` buckets, shared out evenly among the queues, at least one for each.
    """
    rows = await database.fetch("find_oldest_due", list(names), most)
    return [
        OldestDue(
            queue=row["queue"],
            type=row["type"],
            since=row["oldest_due_at"],
            for_s=row["due_for_s"],
        )
        for row in rows
    ]


async def _under_lock(database: Database, query: str, *arguments: object) -> list[str]:
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_queues"))
        rows = await connection.fetch(query, *arguments)
    return [row["name"] for row in rows]


def _queue(row: asyncpg.Record) -> QueueRow:
    return QueueRow(
        name=row["name"],
        paused_at=row["paused_at"],
        created_at=row["created_at"],
        keep=row["keep"],
    )
