"""Reads what became of ticks for pages: the latest fires, counts by day, and the statuses of the tasks."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from taskmill.domain.fires import Fire, FireOutcome
from taskmill.domain.lifecycle import Status
from taskmill.domain.schedule_days import MOST_OF_A_DAY, DayCount
from taskmill.storage.database import Database
from taskmill.storage.schedules import fire_of

_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


async def recent_fires(
    database: Database, schedule_ids: Collection[int], most: int
) -> Mapping[int, Sequence[Fire]]:
    """Return up to so many of the latest fires of each schedule by its id, the newest first."""
    found: dict[int, list[Fire]] = defaultdict(list)
    for row in await database.fetch("list_recent_fires", sorted(schedule_ids), most):
        fire = fire_of(row)
        found[fire.schedule_id].append(fire)
    return found


async def count_days(
    database: Database, schedule_id: int, bounds: Sequence[tuple[date, datetime, datetime]]
) -> list[DayCount]:
    """Return what became of ticks by day and outcome; the last of what was before counts as a day of its own."""
    begins, ends = [since for _, since, _ in bounds], [until for _, _, until in bounds]
    rows = await database.fetch(
        "count_fires_of_days",
        schedule_id,
        [_LONG_AGO, *begins],
        [begins[0], *ends],
        [1, *([MOST_OF_A_DAY] * len(bounds))],
    )
    return [
        DayCount(
            since=row["since"],
            outcome=FireOutcome(row["outcome"]),
            fires=row["fires"],
            ticks=row["ticks"],
            failed=row["failed"],
            until_tick=row["until_tick"],
        )
        for row in rows
    ]


async def task_statuses(
    database: Database, task_ids: Collection[UUID]
) -> Mapping[UUID, tuple[str, Status]]:
    """Return the queue and the status of each task that is still stored."""
    if not task_ids:
        return {}
    rows = await database.fetch("list_task_statuses", sorted(task_ids))
    return {row["id"]: (row["queue"], Status(row["status"])) for row in rows}
