"""The marks of tasks that were released to the broker: counted for people, and taken away for a new start.

Setting them is the relay's business.
"""

from datetime import timedelta
from uuid import UUID

from taskmill.storage.database import Database

_MOST_COUNTED_IN_A_LANE = 5_000
_FORGOTTEN_AT_ONCE = 5_000
_BEFORE_ALL_IDS = UUID(int=0)


async def count(database: Database, *, hint_life: timedelta) -> dict[str, int]:
    """Return how many tasks of each queue are released and wait to be claimed.

    Looks at the first 5,000 due tasks of each lane: tasks are released in the order of their lanes.
    """
    rows = await database.fetch(
        "count_released", hint_life.total_seconds(), _MOST_COUNTED_IN_A_LANE
    )
    return {row["queue"]: row["tasks"] for row in rows}


async def forget_all(database: Database) -> int:
    """Take the mark from every task that waits, some thousand at a time; return from how many."""
    forgotten: int = 0
    after = _BEFORE_ALL_IDS
    while True:
        [row] = await database.fetch("forget_releases", after, _FORGOTTEN_AT_ONCE)
        forgotten += row["forgotten"]
        if row["last_id"] is None:
            return forgotten
        after = row["last_id"]
