"""Counters by queue and status, and by week: sums of deltas that every change writes with itself."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Final
from uuid import UUID

from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Counts
from taskmill.storage.database import Database
from taskmill.storage.statements import statement

MOST_FOLDED: Final = 10_000
# Who counts a week reads all of its tasks. Two at once would both add what is missing.
_COUNTING_S = 3600.0
_COUNTING_LOCK = "SELECT pg_advisory_xact_lock(hashtext('taskmill.week_counts'))"


async def by_queue(database: Database) -> Mapping[str, Counts]:
    """Return how many tasks each queue has in each status; zeros are left out."""
    counted: dict[str, dict[Status, int]] = defaultdict(dict)
    for row in await database.fetch("count_tasks"):
        counted[row["queue"]][Status(row["status"])] = row["tasks"]
    return counted


async def fold(database: Database) -> bool:
    """Replace deltas by their sums; True when there may be many more."""
    rows = await database.fetch("fold_counts", MOST_FOLDED)
    return bool(rows[0]["folded"] == MOST_FOLDED)


async def count_week(database: Database, monday: date, bounds: tuple[UUID, UUID]) -> None:
    """Make the counters of a week exact by counting its tasks, as others change them.

    Raises:
        Unavailable: the database is away, or this took an hour.
    """
    async with database.slow(timeout_s=_COUNTING_S) as connection, connection.transaction():
        await connection.execute(_COUNTING_LOCK)
        await connection.execute(statement("count_week"), monday, *bounds)
