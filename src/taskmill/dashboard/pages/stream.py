"""The stream that notifies an open page of changes."""

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.live import LiveStream
from taskmill.dashboard.view import View
from taskmill.domain.errors import TaskNotFound
from taskmill.operations.visibility import current_visibility


async def follow(view: View) -> Response:
    """Follow one task (`?task=`), or everything. Raises `TaskNotFound` for a task that may not be read."""
    task = first(view.query, "task")
    task_id = parse_id(task, "query:task") if task else None
    if task_id is not None and (visibility := current_visibility()) is not None:
        found = await view.context.service.reading.get(task_id)
        if not visibility.shows(found.queue):
            raise TaskNotFound(task_id)
    return LiveStream(view.context.change_ticker, task_id, view.check_again)


ROUTES = [("GET", "/ui/live", follow)]
