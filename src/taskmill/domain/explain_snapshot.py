"""The facts that decide why a task is where it is, all from one moment of the database.

`domain/explanation.py` evaluates them; here are only the facts and what follows from them directly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from taskmill.domain.fires import TaskTick
from taskmill.domain.lifecycle import ErrorInfo, EventType, Status
from taskmill.domain.system import BrokerState, Liveness
from taskmill.domain.visibility import Visibility

EVERY_TYPE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastEvent:
    """The newest entry of the task's history."""

    at: datetime
    event_type: EventType
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLease:
    """The lease that the task runs under, as its row says."""

    worker: str
    renewed_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    close_reason: str | None

    def liveness(self, now: datetime) -> Liveness:
        """Return whether it holds. An open lease can be renewed, even after it ran out."""
        if self.closed_at is not None:
            return Liveness.CLOSED
        return Liveness.ALIVE if self.expires_at > now else Liveness.EXPIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLease:
    """A worker whose lease is open. Empty `queues` means all; `types` has `*` for all.

    `running` is what it reported with its last renewal. One that `is_quiet` was asked to take no more tasks. With
    `is_shared` it also serves queues that may not be seen, and its other types are not named.
    """

    id: UUID
    worker: str
    queues: frozenset[str]
    types: frozenset[str]
    slots: int
    running: int
    renewed_at: datetime
    expires_at: datetime
    is_quiet: bool = False
    is_shared: bool = False

    def limited_to(self, visibility: Visibility) -> "OpenLease | None":
        """Return it with visible queues only; None when it serves none of them."""
        if not self.queues:
            return replace(self, is_shared=True)
        queues = visibility.of(self.queues)
        return replace(self, queues=queues, is_shared=queues != self.queues) if queues else None

    def named_types(self, task_type: str) -> frozenset[str]:
        """Return its types that may be named where a task of a type is explained."""
        return self.types & {EVERY_TYPE, task_type} if self.is_shared else self.types

    def takes_queue(self, queue: str) -> bool:
        """Return whether it serves the queue."""
        return not self.queues or queue in self.queues

    def takes_type(self, task_type: str) -> bool:
        """Return whether it runs the type."""
        return EVERY_TYPE in self.types or task_type in self.types


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePosition:
    """What occupies slots now, and what goes before the task.

    `running` counts tasks by lease, None when that took too long. `ahead` is how many due tasks are more urgent,
    None when that took too long, and a lower bound with `is_more`. `per_second` is how many tasks of the queue
    were claimed lately, None when that is not known.
    """

    running: Mapping[UUID, int] | None = None
    ahead: int | None = None
    is_more: bool = False
    per_second: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainSnapshot:
    """A task and what surrounds it at `now`, by the database's clock.

    `is_enqueued` is whether it has its row in `dispatch`. `leases` are all open leases, with those that ran out.
    `position` is None where nothing needs it (`explanation.needs_position`). `tick` is that of the schedule that
    made the task, None when none did. One that `is_limited` is for somebody who may not see all queues: how many
    tasks run at all is not reported.
    """

    now: datetime
    task_id: UUID
    status: Status
    queue: str
    type: str
    priority: int
    run: int
    attempt: int
    max_attempts: int
    losses: int
    max_losses: int
    claim_no: int
    cancel_requested: bool
    run_at: datetime
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    timeout: timedelta | None
    error: ErrorInfo | None
    lease_id: UUID | None
    lease: HeldLease | None
    last: LastEvent | None
    is_enqueued: bool
    queue_paused_at: datetime | None
    leases: tuple[OpenLease, ...]
    broker: BrokerState
    position: QueuePosition | None = None
    tick: TaskTick | None = None
    is_limited: bool = False

    def limited_to(self, visibility: Visibility | None) -> "ExplainSnapshot":
        """Return it for somebody who may see some queues only: with workers that serve these. None: as it is.

        A schedule that makes tasks for another queue by now is not named.
        """
        if visibility is None:
            return self
        leases = (lease.limited_to(visibility) for lease in self.leases)
        tick = self.tick
        if tick is not None and tick.queue is not None and not visibility.shows(tick.queue):
            tick = None
        return replace(self, leases=tuple(filter(None, leases)), tick=tick, is_limited=True)

    @property
    def alive(self) -> list[OpenLease]:
        """The live workers."""
        return [lease for lease in self.leases if lease.expires_at > self.now]

    @property
    def serving(self) -> list[OpenLease]:
        """The live workers that would take the task."""
        return [worker for worker in self.fitting if not worker.is_quiet]

    @property
    def fitting(self) -> list[OpenLease]:
        """The live workers that serve queue and type, also those that were asked to take no more tasks."""
        return [w for w in self.alive if w.takes_queue(self.queue) and w.takes_type(self.type)]

    @property
    def rival_types(self) -> frozenset[str] | None:
        """The types whose tasks go to the same workers; None is every type."""
        types = frozenset[str]().union(*(worker.types for worker in self.serving))
        return None if EVERY_TYPE in types else types
