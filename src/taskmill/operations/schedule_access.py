"""For which queue and type a schedule makes tasks, by which it belongs to those who may see them."""

from typing import NamedTuple

from taskmill.storage import schedule_requests, schedules
from taskmill.storage.database import Database


class ScheduleNames(NamedTuple):
    """The queue and the type of a schedule's tasks."""

    queue: str
    type: str


async def names_of(database: Database, name: str) -> ScheduleNames | None:
    """Return those of a schedule that is there, or that SQL has asked for; None when there is neither."""
    found = await schedules.get(database, name)
    if found is not None:
        return ScheduleNames(found.content.queue, found.content.type)
    request = (await schedule_requests.find(database, [name])).get(name)
    if request is None or request.queue is None or request.type is None:
        return None
    return ScheduleNames(request.queue, request.type)
