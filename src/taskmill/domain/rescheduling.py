"""Rescheduling: what may be changed of a task that waits, and what follows from it.

What a task is asked to do (type, payload, policy) never changes: that would be another task.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from taskmill.domain.errors import InvalidInput
from taskmill.domain.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescheduling:
    """What to change; None leaves it as it is. `run_at` is not before a time, `delay` from now on; not both."""

    queue: str | None = None
    priority: int | None = None
    run_at: datetime | None = None
    delay: timedelta | None = None

    @property
    def details(self) -> dict[str, object]:
        """What is to be changed, for the audit log."""
        found = {
            "queue": self.queue,
            "priority": self.priority,
            "run_at": self.run_at,
            "delay_s": None if self.delay is None else self.delay.total_seconds(),
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and when a task waits."""

    queue: str
    priority: int
    run_at: datetime


def place_of(task: Task) -> Place:
    """Return where and when a task waits."""
    return Place(queue=task.queue, priority=task.priority, run_at=task.run_at)


def rescheduled(task: Task, wanted: Rescheduling, now: datetime) -> Place:
    """Return where and when a task waits from now on.

    A task that is due already, and is to be due now or earlier, keeps its place among those that are due.

    Raises:
        InvalidInput: it would expire before it is due.
    """
    run_at = _due(task, wanted, now)
    if run_at != task.run_at and task.expires_at is not None and run_at >= task.expires_at:
        pointer = "/delay_s" if wanted.run_at is None else "/run_at"
        expected = f"a time before the task expires, at {task.expires_at.isoformat()}"
        raise InvalidInput.at(pointer, expected, run_at.isoformat())
    return Place(
        queue=task.queue if wanted.queue is None else wanted.queue,
        priority=task.priority if wanted.priority is None else wanted.priority,
        run_at=run_at,
    )


def _due(task: Task, wanted: Rescheduling, now: datetime) -> datetime:
    if wanted.run_at is None and wanted.delay is None:
        return task.run_at
    run_at = now + (wanted.delay or timedelta(0)) if wanted.run_at is None else wanted.run_at
    return task.run_at if max(run_at, task.run_at) <= now else max(run_at, now)
