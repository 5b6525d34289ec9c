"""Follows one task to its end, for people (a line a change) and for programs (JSON)."""

import time
from collections.abc import Iterator
from datetime import datetime

from taskmill.cli import show
from taskmill.cli.history import event_line
from taskmill.client.calls import TaskId
from taskmill.client.synchronous import TaskmillClient
from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.wire.tasks import TaskView

__all__ = ["follow", "follow_as_json"]

_PAUSE_S = 0.25
_EXIT_STATUSES = {Status.SUCCEEDED: 0, Status.FAILED: 1, Status.CANCELLED: 3}


def follow(client: TaskmillClient, task_id: TaskId) -> int:
    """Print each change of a task as it happens; returns the exit status that its end means."""
    told, status = 0, Status.NEW
    before: datetime | None = None
    with show.Standing() as standing:
        for task in _looks(client, task_id):
            status = task.status
            if task.version > told:
                standing.clear()
                for event in client.events(task_id):
                    if event.version > told:
                        show.line(*event_line(event, before))
                        told, before = event.version, event.at
            standing.show(_now_text(task, before))
    return _EXIT_STATUSES[status]


def follow_as_json(client: TaskmillClient, task_id: TaskId, *, only_end: bool) -> int:
    """Print the task as JSON at each change, or once at its end."""
    told, status = 0, Status.NEW
    for task in _looks(client, task_id):
        status = task.status
        if task.version > told and (not only_end or status in TERMINAL):
            show.json_lines([task.model_dump_json().encode()])
            told = task.version
    return _EXIT_STATUSES[status]


def _looks(client: TaskmillClient, task_id: TaskId) -> Iterator[TaskView]:
    """Yield the task four times a second, the terminal one last."""
    while True:
        task = client.get(task_id)
        yield task
        if task.status in TERMINAL:
            return
        time.sleep(_PAUSE_S)


def _now_text(task: TaskView, since: datetime | None) -> str:
    if task.status in TERMINAL or since is None:
        return ""
    tries = f", attempt {task.attempt} of {task.max_attempts}" if task.attempt else ""
    return f"{task.status} for {show.elapsed(since)}{tries} (Ctrl-C ends the watching only)"
