"""Follows one task to its end, for people (a line a change) and for programs (JSON)."""

from datetime import datetime

from taskmill.cli import show
from taskmill.cli.history import event_line
from taskmill.client.calls import TaskId
from taskmill.client.synchronous import TaskmillClient
from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.wire.tasks import TaskView

__all__ = ["follow", "follow_as_json"]

# So often the line of what goes on is told anew.
_HOLD_S = 1.0
_EXIT_STATUSES = {Status.SUCCEEDED: 0, Status.FAILED: 1, Status.CANCELLED: 3}


def follow(client: TaskmillClient, task_id: TaskId) -> int:
    """Print each change of a task as it happens; returns the exit status that its end means."""
    told, status = 0, Status.NEW
    before: datetime | None = None
    with show.Standing() as standing:
        for task in client.looks(task_id, hold_s=_HOLD_S):
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
    for task in client.looks(task_id):
        status = task.status
        if task.version > told and (not only_end or status in TERMINAL):
            show.json_lines([task.model_dump_json().encode()])
            told = task.version
    return _EXIT_STATUSES[status]


def _now_text(task: TaskView, since: datetime | None) -> str:
    if task.status in TERMINAL or since is None:
        return ""
    tries = f", attempt {task.attempt} of {task.max_attempts}" if task.attempt else ""
    return f"{task.status} for {show.elapsed(since)}{tries} (Ctrl-C ends the watching only)"
