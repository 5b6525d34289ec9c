"""Reads what became of ticks for pages and notices: latest fires, counts by day, statuses of the tasks."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from taskmill.domain.fires import Fire, FireOutcome, StoredSchedule
from taskmill.domain.lifecycle import Status
from taskmill.domain.schedule_days import MOST_OF_A_DAY, DayCount
from taskmill.storage.database import Database
from taskmill.storage.schedules import fire_of, schedule_of

_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class TroubledSchedules(NamedTuple):
    """Schedules whose next tick is late, and others of which ticks made no task lately."""

    late: Sequence[StoredSchedule]
    without_task: Sequence[StoredSchedule]


async def troubled(
    database: Database,
    *,
    late_s: float,
    most_late: int,
    most_without_task: int,
    most_fires: int,
    queues: Collection[str] | None,
) -> TroubledSchedules:
    """Return schedules that may need attention, only of some queues or (None) of all.

    They are late by so many seconds, or have one of the latest `most_fires` ticks that made no task.
    """
    wanted = None if queues is None else sorted(queues)
    rows = await database.fetch(
        "list_troubled_schedules", late_s, most_late, most_fires, wanted, most_without_task
    )
    late, rest = (
        [schedule_of(row) for row in rows if row["is_late"] is is_late] for is_late in (True, False)
    )
    return TroubledSchedules(late, rest)


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
