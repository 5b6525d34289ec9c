"""What the client returns of `taskmill.wire.jobs`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from taskmill.client.view import View
from taskmill.domain.lifecycle import Status

if TYPE_CHECKING:
    from taskmill.domain.jobs import JobProblem, JobState
    from taskmill.domain.waiting import WaitingState

IMPORTED_LATER = {
    "JobProblem": "taskmill.domain.jobs",
    "JobState": "taskmill.domain.jobs",
    "WaitingState": "taskmill.domain.waiting",
}


class JobFilterView(View):
    """Which tasks a job is about; null where it does not matter."""

    status: list[Status]
    queue: str | None
    type: str | None
    label: list[str]
    """with all of these, each `key=value`"""
    name: str | None
    waiting: WaitingState | None
    error: str | None
    """that failed so"""
    worker_id: UUID | None
    """that run under this lease"""
    source: str | None
    """that came in there: `rest`, `amqp`, `sql` or `schedule`"""
    priority: int | None
    took_over_s: float | None
    """whose last attempt took longer"""
    attempts_over: int | None
    """that began more attempts"""
    created_after: datetime | None
    created_before: datetime | None


class JobView(View):
    """A job: many tasks that are cancelled or run again in the background, oldest first."""

    id: UUID
    action: Literal["cancel", "retry"]
    state: JobState
    """over unless `running`; `limited`: it has changed as many as it might, and more tasks may fit"""
    problem: JobProblem | None
    """why it failed: `key-ended`, its API key has expired or was revoked; or `internal-error`"""
    filter: JobFilterView | None
    """null for picked tasks"""
    picked: int | None
    """how many tasks were picked; null for a filter"""
    limit: int | None
    """only so many tasks, the oldest; null: all"""
    expected: int | None
    """how many fitted before it began, if they were counted"""
    matched: int
    """tasks that fitted so far"""
    changed: int
    """of these, tasks that it cancelled, or had run again"""
    cancel_requested: int
    """of these, running tasks whose workers were asked to stop them"""
    first_at: datetime | None
    """when the first task that it has run again is due; null: at once"""
    per_second: float | None
    """how many of these are due each second; null: all"""
    last_at: datetime | None
    """
    when the last of those that it has run again so far is due; null: at once. No stop keeps them from running:
    cancel them while they wait
    """
    started_by: str | None
    """the name of a key or user, or an address"""
    created_at: datetime
    updated_at: datetime
    """when it last changed something"""
    stop_requested_at: datetime | None
    stop_requested_by: str | None
    ended_at: datetime | None


class JobList(View):
    """A part of the jobs, newest first."""

    items: list[JobView]
    next_cursor: str | None
    """null on the last page"""
