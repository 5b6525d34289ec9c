"""Counts waiting tasks by what they wait for, by index and up to a bound."""

from collections.abc import Collection
from typing import Final

from taskmill.domain.waiting import MOST_COUNTED, CountedWaiting, WaitingCount, WaitingCounts
from taskmill.storage.database import Database

_LEAST_OF_A_BUCKET: Final = 100
_MOST_BUCKETS: Final = 2_500


async def count(
    database: Database, names: Collection[str], paused: Collection[str]
) -> dict[str, WaitingCounts]:
    """Return the counts of those queues in which something waits; `paused` are paused."""
    if not names:
        return {}
    bounds = (MOST_COUNTED, _LEAST_OF_A_BUCKET, _MOST_BUCKETS)
    rows = await database.fetch("count_waiting", sorted(names), *bounds, sorted(paused))
    return {
        row["queue"]: CountedWaiting(
            all=row["all_waiting"],
            is_paused=row["queue"] in paused,
            scheduled=row["scheduled"],
            retrying=row["retrying"],
            later_are_more=row["later_are_more"],
            due=WaitingCount(row["due"], row["due_are_more"]),
            unserved=WaitingCount(row["unserved"], row["unserved_are_more"]),
        ).counts()
        for row in rows
    }
