"""Reads the schedules that may need attention, and what the rules need to know of them, up to some limits."""

from typing import Final

from taskmill.domain.attention_snapshot import ScheduleState
from taskmill.domain.schedules.missed import ON_TIME
from taskmill.operations.schedule_reports import recent_fires
from taskmill.storage import schedule_reports, schedule_requests
from taskmill.storage.attention import Visible
from taskmill.storage.database import Database
from taskmill.wire.stored_schedules import is_readable, requested_schedule

_MOST_LATE: Final = 1_000
# Of these, the latest fires are read.
_MOST_WITHOUT_TASK: Final = 100
_MOST_FIRES: Final = 10_000
_MOST_REQUESTS: Final = 1_000


async def troubled_schedules(database: Database, visible: Visible) -> list[ScheduleState]:
    """Return those whose tick is late, of which ticks made no task lately, or of which a request was refused."""
    found = await schedule_reports.troubled(
        database,
        late_s=ON_TIME.total_seconds(),
        most_late=_MOST_LATE,
        most_without_task=_MOST_WITHOUT_TASK,
        most_fires=_MOST_FIRES,
        queues=visible,
    )
    refused = await schedule_requests.refused(database, limit=_MOST_REQUESTS, queues=visible)
    requests = {one.name: one for one in refused}
    fires = await recent_fires(database, found.without_task)
    states = [
        ScheduleState(
            schedule=one._replace(request=requests.pop(one.name, None)),
            fires=fires.get(one.id, ()),
            is_readable=is_readable(one.content.spec),
        )
        for one in (*found.late, *found.without_task)
    ]
    return [
        *states,
        *(ScheduleState(schedule=requested_schedule(one)) for one in requests.values()),
    ]
