"""For which queue and type a schedule makes tasks, by which it belongs to those who may see them.

Who may do something with it is checked before it is looked at closely, and again when it is locked: one of
somebody else may have replaced it in between.
"""

from typing import NamedTuple

from taskmill.domain.fires import StoredSchedule
from taskmill.domain.schedule_errors import ScheduleNotFound
from taskmill.operations.authorisation import missing
from taskmill.operations.visibility import current_visibility
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


def require_access(schedule: StoredSchedule) -> None:
    """Check that this context may do what it is about to do, for the queue and the type that a schedule has now.

    Raises:
        ScheduleNotFound: it may not see the schedule.
        ScopeMissing: it may see it, and not do that.
    """
    visibility = current_visibility()
    if visibility is None:
        return
    content = schedule.content
    for number, scope in enumerate(visibility.scopes):
        if visibility.key.permits(scope, queue=content.queue, type=content.type):
            continue
        if number == 0:
            raise ScheduleNotFound(schedule.name)
        raise missing(scope, content.queue, content.type)
