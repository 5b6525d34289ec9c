"""The stream that notifies an open page of changes."""

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.live import LiveStream
from taskmill.dashboard.view import View


async def follow(view: View) -> Response:
    """Follow one task (`?task=`), or everything."""
    task = first(view.query, "task")
    task_id = parse_id(task, "query:task") if task else None
    return LiveStream(view.context.change_ticker, task_id, view.check_again)


ROUTES = [("GET", "/ui/live", follow)]
