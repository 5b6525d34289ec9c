"""What the system reports about itself: history, pages of tasks, queues, workers and counts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

from taskmill.domain.activity import Activity
from taskmill.domain.lifecycle import TERMINAL, EventType, Status
from taskmill.domain.parts import PAGE_BYTES
from taskmill.domain.task import Task
from taskmill.domain.visibility import Visibility
from taskmill.domain.waiting import WaitingCounts, WaitingState


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """One entry of a task's history. `error` is JSON text."""

    task_id: UUID
    version: int
    at: datetime
    event_type: EventType
    status: Status
    run: int
    attempt: int
    losses: int
    claim_no: int
    run_at: datetime
    worker: str | None
    reason: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks to list; an empty filter means all. `name` is a substring, in any case.

    Case is folded as `domain/name_search.py` says. `created_after` is inclusive, `created_before` exclusive.
    `labels` must all be there. With `waiting`, only new tasks that wait for that. `error` is the kind of a
    `FailureKind`, `lease` that of the worker that runs them. `id_end` is the end of the id as text, in lower case.
    `took_over` is of the last attempt, also of one that runs; `attempts_over` is how many have begun. Nothing of a
    queue that is not in `visible` is found; None: all queues are in it.
    """

    statuses: frozenset[Status] = frozenset()
    queue: str | None = None
    type: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    name: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    error: str | None = None
    lease: UUID | None = None
    waiting: WaitingState | None = None
    id_end: str | None = None
    source: str | None = None
    priority: int | None = None
    took_over: timedelta | None = None
    attempts_over: int | None = None
    visible: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which part of a listing: `limit` tasks beyond the id `after`, or beyond the first `offset`.

    `budget_s` is how long tasks may be searched without an index, and as long again counted: the page may be empty
    then, and still have a next one. With None, the default, such a search goes on for 2 s, and until it has found
    something. `look_up_s` is how long an index without an order may take to find what is rare;
    None: as long as that is quicker.
    `is_brief` leaves out payload and result, which may be large. Without `with_total` nothing is counted. The page
    ends with the task that reaches `most_bytes`.
    """

    limit: int = 50
    after: UUID | None = None
    offset: int = 0
    oldest_first: bool = False
    budget_s: float | None = None
    look_up_s: float | None = None
    is_brief: bool = False
    with_total: bool = True
    most_bytes: int | None = PAGE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """A part of a listing.

    `total` is exact, or None when counting took too long or there are more than 2,000; then `total_at_least` is
    a lower bound. `next_after` is where the next page begins, None at the end. A page may be short and still have
    a next one: then the time for searching was up, or its tasks are large.
    """

    items: list[Task]
    total: int | None
    total_at_least: int | None
    next_after: UUID | None


Counts = Mapping[Status, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue, its pause, how many tasks it has by status, and since when its oldest due task waits.

    `keep` is how long it keeps its ended tasks; None for what the settings say. `waiting` is what those wait for
    that are new; None where that was not counted.
    """

    name: str
    paused_at: datetime | None
    created_at: datetime
    oldest_due_at: datetime | None
    counts: Counts
    waiting: WaitingCounts | None = None
    keep: timedelta | None = None


class Liveness(StrEnum):
    """A worker's state, by its lease."""

    ALIVE = "alive"
    EXPIRED = "expired"
    CLOSED = "closed"


EXPIRED: Final = "expired"
"""The close reason of a lease that ran out."""


class WorkerRequest(StrEnum):
    """What an operator requests of a worker: to take no more tasks, or to end its process as well."""

    QUIET = "quiet"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A worker process as its lease shows it. Empty `queues` means all; `types` has `*` for all.

    A `remote` one pulls over HTTP, and has a lease for each claim; its `version` is not known. A quiet one
    may be asked to `stop_when_empty`, when it runs nothing more. `lost_tasks` of a lost one were taken back. One
    that `is_shared` also serves queues that whoever asks may not see.
    """

    id: UUID
    name: str
    queues: list[str]
    types: list[str]
    slots: int
    running: int
    started_at: datetime
    renewed_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    request: WorkerRequest | None
    remote: bool
    state: Liveness
    version: str | None = None
    stop_when_empty: bool = False
    lost_tasks: int = 0
    is_shared: bool = False

    def limited_to(self, visibility: Visibility) -> "WorkerState":
        """Return it with visible queues only."""
        queues = [queue for queue in self.queues if visibility.shows(queue)]
        is_shared = not self.queues or len(queues) < len(self.queues)
        return replace(self, queues=queues, is_shared=is_shared)

    def with_types_of(self, visible: Collection[str]) -> "WorkerState":
        """Return it with those of its types that are visible; `*` always is."""
        return replace(self, types=[one for one in self.types if one == "*" or one in visible])

    @property
    def is_lost(self) -> bool:
        """Whether its lease was closed because it was not renewed."""
        return self.closed_at is not None and self.close_reason == EXPIRED


class BrokerPresence(StrEnum):
    """Whether a process reaches its broker, or has none."""

    OK = "ok"
    AWAY = "away"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerState:
    """The broker as one process sees it; `trouble` is why it is away, without secrets.

    `policy` is how workers learn of tasks: auto, rabbitmq or postgres. A broker that `is_starting` is away as
    well, but nothing is wrong yet.
    """

    presence: BrokerPresence
    policy: str
    trouble: str | None = None
    is_starting: bool = False

    def __str__(self) -> str:
        match self.presence:
            case BrokerPresence.OK:
                return "ok"
            case BrokerPresence.AWAY:
                return "starting" if self.is_starting else f"away: {self.trouble}"
            case BrokerPresence.NONE:
                return "none (claims come from PostgreSQL)"
            case _:
                assert_never(self.presence)


class IntakePresence(StrEnum):
    """Whether a process consumes creation messages from the broker."""

    STARTING = "starting"
    OK = "ok"
    AWAY = "away"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeState:
    """The intake as one process sees it; `trouble` is why it is away, without secrets.

    When it is ok, its exchange and queue exist and are bound, and the queue has a consumer.
    """

    presence: IntakePresence
    trouble: str | None = None

    def __str__(self) -> str:
        match self.presence:
            case IntakePresence.AWAY:
                return f"away: {self.trouble}"
            case IntakePresence.NONE:
                return "none (there is no broker)"
            case IntakePresence.OK | IntakePresence.STARTING:
                return str(self.presence)
            case _:
                assert_never(self.presence)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerQueue:
    """A queue of the broker: how many messages wait in it, and how many consumers it has."""

    name: str
    messages: int
    consumers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How many tasks there are, by queue and status, what the new ones wait for, and the capacity to run them.

    `activity` is what happened lately, if that was requested.
    """

    queues: Mapping[str, Counts]
    workers_alive: int
    slots: int
    running: int
    broker: BrokerState
    waiting: WaitingCounts = field(default_factory=WaitingCounts)
    activity: Activity | None = None


class CancelResult(StrEnum):
    """What a cancel did: it is done, or the running attempt was asked to stop."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"


class Sweep(StrEnum):
    """An action on all tasks that a filter admits."""

    CANCEL = "cancel"
    RETRY = "retry"

    @property
    def statuses(self) -> frozenset[Status]:
        """The statuses that allow it."""
        match self:
            case Sweep.CANCEL:
                return frozenset({Status.NEW, Status.IN_PROGRESS})
            case Sweep.RETRY:
                return TERMINAL
            case _:
                assert_never(self)

    @property
    def usual(self) -> frozenset[Status]:
        """The default of them: what succeeded runs again only on request."""
        return frozenset({Status.FAILED}) if self is Sweep.RETRY else self.statuses


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStart:
    """Where a sweep continues: after the id `after`, up to the id `until` (exclusive)."""

    after: UUID
    until: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When retried tasks are due: the first at `first_at`, each other one `spacing_s` after the one before."""

    first_at: datetime
    spacing_s: float = 0.0

    def after(self, tasks: int) -> "Pace":
        """Return the pace of those that follow so many tasks."""
        return replace(self, first_at=self.first_at + timedelta(seconds=tasks * self.spacing_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStep:
    """A part of a sweep: how many tasks fit, how many changed, and how many running ones were asked to stop.

    `next_start` is where it continues, None when it is complete.
    """

    matched: int
    changed: int
    requested: int
    next_start: SweepStart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedTask:
    """A stored task and whether an earlier request with the same key had made it."""

    task: Task
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether this process can serve: each part by name, None when it is well, else what is wrong.

    Broker and intake are reported, but a process is ready without them: nothing accepted is lost, and requests are
    still served. `intake` is None where this process can't know. `cause` is for operators only: it may name hosts
    and users.
    """

    parts: Mapping[str, str | None]
    broker: BrokerState
    intake: IntakeState | None = None
    cause: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether every part is well."""
        return not any(self.parts.values())
