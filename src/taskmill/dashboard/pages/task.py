"""One task: where it is and why, its events, its logs, and the actions on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson
from starlette.responses import Response

from taskmill.dashboard.blocker_text import blocker_texts
from taskmill.dashboard.gantt import run_charts
from taskmill.dashboard.pages.task_links import curl_of, trace_link
from taskmill.dashboard.pages.task_logs import shown_lines
from taskmill.dashboard.stack import LONGEST, Stack, read_stack
from taskmill.dashboard.view import View
from taskmill.dashboard.wording import is_traceback, shortened
from taskmill.domain.cancel_receipt import cancel_receipt
from taskmill.domain.course import course_of
from taskmill.domain.error_kinds import kind_id, kind_of
from taskmill.domain.lifecycle import TERMINAL, ErrorInfo, Status
from taskmill.domain.system import TaskEvent
from taskmill.domain.task import Task
from taskmill.domain.task_fields import SHOWN
from taskmill.domain.task_log import LineLevel

_MOST_EVENTS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event, the time until the next one (None: it is the last), and its error."""

    event: TaskEvent
    lasted_s: float | None
    error: "Trouble | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An error of the task or of an event, cut if it is very long; `kind_id` is that of its kind of failure.

    `stack` is its message, if that is a traceback.
    """

    type: str
    message: str
    place: str | None
    stack: Stack | None
    is_whole: bool
    kind_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    """A field that is set, and its value as people read it."""

    name: str
    text: str


async def show_task(view: View) -> Response:
    """Show the page."""
    task_id = view.id
    service = view.context.service
    found = await service.reading.get(task_id)
    task = await view.show(found)
    events = await service.reading.latest_events(task_id, _MOST_EVENTS)
    logs = await shown_lines(view, task_id, events)
    explanation = await service.explain(task_id)
    blockers = blocker_texts(view.words, task, explanation)
    return view.page(
        "task.html",
        title=task.name,
        task=task,
        labels=orjson.loads(task.labels),
        retry=None if task.retry is None else orjson.loads(task.retry),
        rows=list(_rows(view, task)),
        trouble=_trouble(task.error),
        entries=list(_entries(events))[::-1],
        is_cut=len(events) == _MOST_EVENTS,
        charts=run_charts(course_of(events, view.context.clock.now())),
        blockers=blockers,
        tick=explanation.tick,
        holding=next(one for one in blockers if one.blocker is explanation.holding),
        logs=logs,
        levels=list(LineLevel),
        worker=next((event.worker for event in reversed(events) if event.worker), None),
        is_over=task.status in TERMINAL,
        is_early=task.status is Status.NEW and task.run_at > view.context.clock.now(),
        receipt=cancel_receipt(events),
        trace_link=await trace_link(view, task_id),
        curl=await curl_of(view, found),
    )


async def retry_task(view: View) -> Response:
    """Retry it, and show it."""
    task_id = view.id
    await view.form()
    await view.context.service.retry(task_id)
    return view.redirect(f"/ui/tasks/{task_id}")


async def cancel_task(view: View) -> Response:
    """Cancel it, or ask its worker to, and show it."""
    task_id = view.id
    await view.form()
    await view.context.service.cancel(task_id)
    return view.redirect(f"/ui/tasks/{task_id}")


def _rows(view: View, task: Task) -> Iterator[FieldRow]:
    for field in SHOWN:
        value = getattr(task, field.attribute)
        if field.is_row and value is not None:
            is_span = isinstance(value, timedelta)
            text = view.words.span(value.total_seconds()) if is_span else str(value)
            yield FieldRow(name=field.name, text=text)


def _entries(events: Sequence[TaskEvent]) -> Iterator[Entry]:
    for number, event in enumerate(events):
        following = events[number + 1] if number + 1 < len(events) else None
        lasted_s = None if following is None else (following.at - event.at).total_seconds()
        yield Entry(event=event, lasted_s=lasted_s, error=_trouble(event.error))


def _trouble(stored: str | None) -> Trouble | None:
    if stored is None:
        return None
    found = orjson.loads(stored)
    error = ErrorInfo(
        type=str(found.get("type", "?")),
        message=str(found.get("message", "")),
        place=found.get("place"),
        fingerprint=found.get("fingerprint"),
    )
    stack = read_stack(error.message) if is_traceback(error.message) else None
    return Trouble(
        type=error.type,
        message=shortened(error.message, LONGEST) if stack is None else stack.text,
        place=error.place,
        stack=stack,
        is_whole=len(error.message) <= LONGEST,
        kind_id=kind_id(kind_of(error)),
    )


ROUTES = [
    ("GET", "/ui/tasks/{id}", show_task),
    ("POST", "/ui/tasks/{id}/retry", retry_task),
    ("POST", "/ui/tasks/{id}/cancel", cancel_task),
]
