"""Follows tasks to their ends, for people (a line a change) and for programs (JSON)."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeAlias

import click

from taskmill.cli import show
from taskmill.cli.history import event_line
from taskmill.cli.server import with_advice
from taskmill.client.calls import TaskId
from taskmill.client.errors import ClientError, StillRunning
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.tasks import TaskView
from taskmill.domain.lifecycle import TERMINAL, Status

# How often the status line is refreshed.
_HOLD_S = 1.0
_EXIT_STATUSES = {Status.SUCCEEDED: 0, Status.FAILED: 1, Status.CANCELLED: 3}
_STILL_RUNNING = 4

PrintTask: TypeAlias = Callable[[TaskView], None]


class OutcomeUnknown(click.ClickException):
    """It is unknown how a task ended; that must not look as if it had failed."""

    exit_code = 5


@contextmanager
def as_unknown_outcome() -> Iterator[None]:
    """Give a client's errors an exit status that differs from those of tasks."""
    try:
        yield
    except ClientError as error:
        raise OutcomeUnknown(with_advice(error)) from error


def follow(client: TaskmillClient, task_id: TaskId) -> int:
    """Print each change of a task as it happens; returns the exit status that its end means."""
    shown, status = 0, Status.NEW
    before: datetime | None = None
    with show.StatusLine() as status_line:
        for task in client.watch(task_id, hold_s=_HOLD_S):
            status = task.status
            if task.version > shown:
                status_line.clear()
                for event in client.events(task_id):
                    if event.version > shown:
                        show.line(*event_line(event, before))
                        shown, before = event.version, event.at
            status_line.show(_now_text(task, before))
    return _EXIT_STATUSES[status]


def follow_as_json(client: TaskmillClient, task_id: TaskId, *, only_end: bool) -> int:
    """Print the task as JSON at each change, or once at its end."""
    shown, status = 0, Status.NEW
    for task in client.watch(task_id):
        status = task.status
        if task.version > shown and (not only_end or status in TERMINAL):
            show.json_lines([task])
            show.flush()
            shown = task.version
    return _EXIT_STATUSES[status]


def wait_for(
    client: TaskmillClient,
    task_ids: Sequence[TaskId],
    *,
    timeout_s: float | None = None,
    print_task: PrintTask = lambda _: None,
) -> int:
    """Wait for the end of all tasks, for `timeout_s` in all, and print each; returns the worst exit status."""
    give_up_at = None if timeout_s is None else _monotonic_s() + timeout_s
    worst = 0
    for task_id in task_ids:
        left_s = None if give_up_at is None else max(give_up_at - _monotonic_s(), 0.0)
        try:
            task = client.wait(task_id, timeout_s=left_s)
        except StillRunning as error:
            show.note(f"task {error.task_id} is still {error.status} after {timeout_s:g} s")
            return _STILL_RUNNING
        print_task(task)
        if task.status is not Status.SUCCEEDED and worst != _EXIT_STATUSES[Status.FAILED]:
            worst = _EXIT_STATUSES[task.status]
    return worst


def _monotonic_s() -> float:
    return time.monotonic()  # noqa: TID251 - Clock is the server's; a client has only this


def _now_text(task: TaskView, since: datetime | None) -> str:
    if task.status in TERMINAL or since is None:
        return ""
    tries = f", attempt {task.attempt} of {task.max_attempts}" if task.attempt else ""
    return f"{task.status} for {show.elapsed(since)}{tries} (Ctrl-C ends the watching only)"
