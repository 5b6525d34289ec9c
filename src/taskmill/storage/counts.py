"""Counters by queue and status: sums of deltas that every change writes with itself."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Counts
from taskmill.storage.database import Database

MOST_FOLDED: Final = 10_000


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
