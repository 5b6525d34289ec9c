"""Deletes ended tasks one by one that are past their queue's time, by a function of the database.

Whole weeks are `week_drops`'. It decides neither when this is done nor how fast.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain import identity
from taskmill.domain.lifecycle import TERMINAL
from taskmill.storage import partitions
from taskmill.storage.database import Database
from taskmill.storage.weeks import Week

ENDED: Final = sorted(TERMINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunableTasks:
    """Tasks of a week, a queue and a status that ended before a moment."""

    week: Week
    queue: str
    status: str
    ended_before: datetime
    others_keep: timedelta | None = None
    """The time of queues without one of their own; None where the queue has one."""

    @property
    def bounds(self) -> tuple[UUID, UUID]:
        """The id after which they are, and the one before which: whoever has ended was created before."""
        first, end = self.week.bounds
        return UUID(int=first.int - 1), min(end, identity.lower_bound(self.ended_before))


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedBatch:
    """How many tasks were read and deleted, and the last id that was read."""

    read: int
    deleted: int
    last: UUID | None


async def find(
    database: Database, moment: datetime, keep: timedelta, *, is_archived: bool
) -> list[PrunableTasks]:
    """Return what is past its queue's time at a moment, the oldest first; `keep` is that of queues without one.

    With an archive a week that stays for another queue stays whole, but for queues with a shorter time than
    `keep`: so its file has all of it.
    """
    rows = await database.fetch("list_prunable_tasks", keep, ENDED, is_archived, moment)
    return [_prunable(row, moment, keep) for row in rows]


def _prunable(row: asyncpg.Record, moment: datetime, keep: timedelta) -> PrunableTasks:
    return PrunableTasks(
        week=Week.starting(row["week"]),
        queue=row["queue"],
        status=row["status"],
        ended_before=moment - (keep if row["keep"] is None else row["keep"]),
        others_keep=keep if row["keep"] is None else None,
    )


async def prune(database: Database, tasks: PrunableTasks, after: UUID, most: int) -> PrunedBatch:
    """Read the next tasks after an id, `most` of them, and delete those that ended long enough ago.

    The database decides by its own clock and the queue's time as it is by then.
    """
    _, end = tasks.bounds
    [row] = await database.fetch(
        "prune_tasks",
        tasks.queue,
        tasks.status,
        after,
        end,
        tasks.ended_before,
        most,
        tasks.others_keep,
    )
    return PrunedBatch(read=row["read"], deleted=row["pruned"], last=row["last"])


async def forget(database: Database) -> None:
    """Delete notes about tasks that are older than all weeks, and than all keys that may stand for them."""
    weeks = await partitions.attached(database)
    if weeks:
        await database.fetch("forget_pruned", weeks[0].start)
