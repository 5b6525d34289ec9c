"""Jobs: many tasks that are cancelled or run again in the background, as one action of an operator.

A job lives in the database. Whichever API process holds it goes on with it, so that it outlives each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from taskmill.domain.audit import Origin
from taskmill.domain.grants import Scope
from taskmill.domain.sweep_plans import SweepProgress
from taskmill.domain.system import Pace, Sweep, SweepStart, TaskFilter

MOST_UNTYPED: Final = 1_000
"""To have more tasks than these changed, a person types their number."""
MOST_PICKED: Final = 500
"""A job of picked tasks has at most so many."""
MOST_OPEN: Final = 10
"""So many jobs may go on at a time."""
RETAINED_DAYS: Final = 30
"""How long a job that is over is kept."""


class JobState(StrEnum):
    """Where a job is. It is over in every state but the first. If it is limited, more tasks may fit."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    LIMITED = "limited"
    FAILED = "failed"


class JobProblem(StrEnum):
    """Why a job failed: the API key that asked for it has ended, or there is a fault, which the log has."""

    KEY_ENDED = "key-ended"
    INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What a job is to do with the tasks that have `ids`, or with those that `wanted` admits.

    Of the latter it changes up to `limit`, the oldest; None: all. `expected` is how many matched when it was asked
    for, where that is known. Tasks that are run again are due as the `pace` says, else at once.
    """

    action: Sweep
    wanted: TaskFilter = field(default_factory=TaskFilter)
    ids: Sequence[UUID] = ()
    limit: int | None = None
    expected: int | None = None
    pace: Pace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job before it is stored: it goes on at `start`, with the tasks that existed when it was asked for.

    It changes only what its `origin` may see: with `scopes`, that for which its API key grants all of these.
    """

    id: UUID
    request: JobRequest
    origin: Origin
    scopes: tuple[Scope, ...]
    start: SweepStart


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(NewJob):
    """A job and its progress: so many tasks `matched`; of these some were `changed`, and some `requested` to stop.

    `entry_id` is its entry of the audit log, which it has before it changes anything.
    """

    entry_id: UUID | None
    state: JobState
    problem: str | None
    matched: int
    changed: int
    requested: int
    created_at: datetime
    updated_at: datetime
    stop_requested_at: datetime | None
    stop_requested_by: str | None
    ended_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state is not JobState.RUNNING

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop, and goes on until its current step ends."""
        return not self.is_over and self.stop_requested_at is not None

    @property
    def last_at(self) -> datetime | None:
        """When the last of the tasks that it has run again is due; None if they are due at once, or there is none.

        The job is over long before: to stop it then stops none of them.
        """
        pace = self.request.pace
        return None if pace is None or not self.changed else pace.after(self.changed - 1).first_at

    @property
    def progress(self) -> SweepProgress:
        """What is still to be done of it."""
        limit, pace = self.request.limit, self.request.pace
        return SweepProgress(
            remaining=None if limit is None else limit - self.matched,
            pace=pace and pace.after(self.changed),
        )


class StartedJob(NamedTuple):
    """A job that was asked for; `replayed` if an earlier request had started it."""

    job: Job
    replayed: bool
