"""Gives handlers the tick of a schedule for which their task was made.

No claim knows schedules: tasks with the label of one are looked up before their handler starts, no others.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import asyncpg
import orjson

from taskmill.app import Context, ScheduledTick
from taskmill.domain.errors import Unavailable
from taskmill.domain.fires import FireCause
from taskmill.domain.lifecycle import Interrupted, Reason
from taskmill.domain.task import ClaimedTask
from taskmill.observability.logs import get_logger
from taskmill.storage import schedules
from taskmill.storage.database import Database
from taskmill.worker.execution import Ended
from taskmill.worker.handlers import Handler

log = get_logger(__name__)

_LABEL: Final = "schedule"
_QUOTED_LABEL: Final = f'"{_LABEL}"'
_LONGEST_S: Final = 5.0
_PAUSE: Final = timedelta(seconds=1)


def with_ticks(handler: Handler, database: Database) -> Handler:
    """Return a handler whose context has the schedule of its task.

    While that can't be read the task is handed back, and waits.
    """

    async def handle(context: Context) -> object:
        if _QUOTED_LABEL not in context.task.labels:
            return await handler(context)
        try:
            async with asyncio.timeout(_limit_s(context.task)):
                schedule = await _tick(database, context.task)
        except (Unavailable, asyncpg.PostgresError, TimeoutError) as error:
            log.warning("schedule.tick_unread", task_id=str(context.task.id), error=repr(error))
            return Ended(Interrupted(reason=Reason.TICK_UNREAD, after=_PAUSE))
        return await handler(replace(context, schedule=schedule))

    return handle


def _limit_s(task: ClaimedTask) -> float:
    if task.timeout is None:
        return _LONGEST_S
    return min(_LONGEST_S, task.timeout.total_seconds() / 2)


async def _tick(database: Database, task: ClaimedTask) -> ScheduledTick | None:
    """Return the tick; None if the label is one of somebody else, or the tick is no longer stored."""
    labels: dict[str, Any] = orjson.loads(task.labels)
    name = labels.get(_LABEL)
    found = await schedules.tick_of_task(database, task.id) if name else None
    if name is None or found is None:
        return None
    return ScheduledTick(
        name=name,
        tick=found.tick,
        previous_tick=found.previous_tick,
        is_catch_up=found.cause is FireCause.CATCH_UP,
    )
