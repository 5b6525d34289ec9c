"""What the rules of attention decide by: the state of the service at one moment, as far as somebody may see it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from taskmill.domain.figures import SystemFigures
from taskmill.domain.fires import Fire, StoredSchedule
from taskmill.domain.system import BrokerState, Counts, WorkerState

# They report once a minute.
_SILENT: Final = timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTasks:
    """The due tasks of a queue and type: the oldest has waited `since`; how many live workers serve them.

    `tasks` are counted up to a bound, beyond which there `are_more`.
    """

    queue: str
    type: str
    since: datetime
    workers: int
    tasks: int
    are_more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLoad:
    """A queue: its pause, its tasks by status, and how many began and ended to wait in `RECENTLY`."""

    name: str
    paused_at: datetime | None
    counts: Counts
    entered: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LostWorker:
    """A worker whose lease ran out in the last day, and how many tasks were taken back from it."""

    id: UUID
    name: str
    lost_at: datetime
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentEnds:
    """How tasks of a queue and type ended in `RECENTLY`, and in the day before."""

    queue: str
    type: str
    succeeded: int = 0
    failed: int = 0
    expired: int = 0
    day_succeeded: int = 0
    day_failed: int = 0

    @property
    def ended(self) -> int:
        """How many attempts were the last ones."""
        return self.succeeded + self.failed

    @property
    def share(self) -> float:
        """The share that failed."""
        return self.failed / self.ended if self.ended else 0.0

    @property
    def day_ended(self) -> int:
        """The same, of the day before."""
        return self.day_succeeded + self.day_failed

    @property
    def day_share(self) -> float:
        """The share that failed the day before."""
        return self.day_failed / self.day_ended if self.day_ended else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTasks:
    """Tasks of a type that failed with one kind of error, since when."""

    type: str
    error: str
    tasks: int
    first_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedKind:
    """A kind of failures that was resolved, and has failed again since."""

    error: str
    resolved_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedMessages:
    """Messages for a queue (None: they named none) that were refused in the last day and not sent again."""

    queue: str | None
    messages: int
    first_at: datetime
    are_more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingWebhook:
    """A webhook whose endpoint accepts nothing, or that was disabled because of that."""

    id: UUID
    host: str
    description: str
    since: datetime
    is_disabled: bool
    reason: str | None
    deliveries: int
    are_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """A schedule that may need attention, with its latest fires, the newest first; `is_readable` by this release.

    Of one whose tick is late the fires are left out.
    """

    schedule: StoredSchedule
    fires: Sequence[Fire] = ()
    is_readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingDuty:
    """A duty that has failed so often in a row, for `for_s`; `error` is the name of the last error's class."""

    name: str
    failures: int
    for_s: float
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """What a process last reported of itself; one that stopped in order is not there."""

    id: UUID
    name: str
    roles: Sequence[str]
    version: str
    seen_at: datetime
    clock_ahead_s: float
    failing: Sequence[FailingDuty] = ()

    def is_live(self, now: datetime) -> bool:
        """Return whether it has reported lately."""
        return now - self.seen_at < _SILENT


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionSnapshot:
    """All facts. `is_whole`: of all queues, and of the service itself.

    `unwritable` is why the database takes no writes, None if it does; it may name hosts and users.

    `workers` are those that have not ended. `pulled` are the types that workers pull over HTTP: one that waits for
    tasks is not among `workers`. `figures` is None when the database did not return them in time.
    """

    at: datetime
    is_whole: bool
    broker: BrokerState
    queues: Sequence[QueueLoad] = ()
    due: Sequence[DueTasks] = ()
    workers: Sequence[WorkerState] = ()
    pulled: Collection[str] = ()
    lost_workers: Sequence[LostWorker] = ()
    ends: Sequence[RecentEnds] = ()
    new_errors: Sequence[FailedTasks] = ()
    returned_kinds: Sequence[ReturnedKind] = ()
    lost_tasks: Sequence[FailedTasks] = ()
    refused: Sequence[RefusedMessages] = ()
    webhooks: Sequence[FailingWebhook] = ()
    schedules: Sequence[ScheduleState] = ()
    processes: Sequence[ProcessState] = ()
    unwritable: str | None = None
    figures: SystemFigures | None = None

    def ago(self, moment: datetime) -> timedelta:
        """Return how long ago a moment was, 0 for the future."""
        return max(self.at - moment, timedelta(0))

    @property
    def due_by_queue(self) -> Mapping[str, Sequence[DueTasks]]:
        """What is due, by queue."""
        found: dict[str, list[DueTasks]] = {}
        for one in self.due:
            found.setdefault(one.queue, []).append(one)
        return found
