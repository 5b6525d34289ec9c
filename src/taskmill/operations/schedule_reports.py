"""What pages say about schedules: what became of their latest ticks, of those of 30 days, and of their tasks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Final
from uuid import UUID

from taskmill.domain.fires import Fire, FireOutcome, FirePart, StoredSchedule
from taskmill.domain.lifecycle import Status
from taskmill.domain.schedule_days import SKIPPED, ScheduleDay, day_bounds, schedule_days
from taskmill.domain.schedule_health import MOST_JUDGED
from taskmill.operations.visibility import current_visibility
from taskmill.storage import schedule_reports as rows, schedules
from taskmill.storage.database import Database

WITHOUT_TASK: Final = (*SKIPPED, FireOutcome.REFUSED)
"""The outcomes of ticks that made no task, and will make none."""

_MOST_SEARCHED: Final = 1_000


async def recent_fires(
    database: Database, schedules: Collection[StoredSchedule]
) -> Mapping[int, Sequence[Fire]]:
    """Return the latest fires of schedules by their ids, `MOST_JUDGED` at most, the newest first."""
    if not schedules:
        return {}
    found = await rows.recent_fires(database, [one.id for one in schedules], MOST_JUDGED)
    return {one.id: found.get(one.id, ()) for one in schedules}


async def days(database: Database, schedule: StoredSchedule, zone: tzinfo) -> list[ScheduleDay]:
    """Return the latest days of a schedule in its zone, the oldest first."""
    bounds = day_bounds(zone, schedule.moment)
    return schedule_days(schedule, bounds, await rows.count_days(database, schedule.id, bounds))


async def visible_statuses(database: Database, fires: Iterable[Fire]) -> Mapping[UUID, Status]:
    """Return the statuses of the tasks that fires name: of those that are stored and that this context may see."""
    named = ((fire.task_id, fire.cancelled_task_id) for fire in fires)
    ids = {task_id for pair in named for task_id in pair if task_id is not None}
    visibility = current_visibility()
    return {
        task_id: status
        for task_id, (queue, status) in (await rows.task_statuses(database, ids)).items()
        if visibility is None or visibility.shows(queue)
    }


async def fires_before(
    database: Database,
    schedule: StoredSchedule,
    before: datetime,
    limit: int,
    *,
    without_task: bool,
) -> FirePart:
    """Return what became of ticks of a schedule before a moment, the latest first.

    With `without_task` only of those that made none; these are searched for among so many fires at a time.
    """
    outcomes = WITHOUT_TASK if without_task else None
    return await schedules.fires(
        database,
        schedule.id,
        before=before,
        limit=limit,
        outcomes=outcomes,
        most_read=_MOST_SEARCHED,
    )
