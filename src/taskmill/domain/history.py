"""A task as `verify` reads it (with its history and its rows), and which entry may follow which.

Statuses and event types are plain text here, since anything may be stored: `domain/replay.py` checks them.
All are tuples: `verify` makes millions of them, and a frozen dataclass takes 2.9 us to make, a tuple 0.2
(measured 2026-11-25).
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from taskmill.domain.lifecycle import ALLOWED, TERMINAL, EventType, Reason, Status


class HistoryEntry(NamedTuple):
    """An entry of a task's history; `error` is JSON text."""

    task_id: UUID
    version: int
    at: datetime
    event_type: str
    status: str
    run: int
    attempt: int
    losses: int
    claim_no: int
    run_at: datetime
    lease_id: UUID | None
    reason: str | None
    error: str | None


class TaskRow(NamedTuple):
    """What `verify` compares of a task as it is now. `error` is JSON text."""

    id: UUID
    version: int
    status: str
    run: int
    attempt: int
    max_attempts: int
    losses: int
    max_losses: int
    claim_no: int
    run_at: datetime
    lease_id: UUID | None
    cancel_requested: bool
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    error: str | None


class DispatchRow(NamedTuple):
    """A row of `dispatch`: as it is, or as the task's row requires it."""

    queue: str
    type: str
    priority: int
    run_at: datetime
    expires_at: datetime | None


class RunningRow(NamedTuple):
    """A row of `running`: as it is, or as the task's row from before its claim requires it."""

    claim_no: int
    attempt: int
    version: int
    queue: str


class CheckedTask(NamedTuple):
    """A task with all that has to agree with it, from one snapshot.

    `expected` is what its row in `dispatch` should be, `dispatched` what it is, None when there is none;
    `expected_running` and `running` are the same for `running`. `lease_over_s` is for how many seconds its lease
    has been closed or expired, None while that is alive.
    """

    row: TaskRow
    expected: DispatchRow
    dispatched: DispatchRow | None
    expected_running: RunningRow | None
    running: RunningRow | None
    has_lease: bool
    lease_over_s: float | None


Costs = tuple[tuple[int, int], ...]


class Step(NamedTuple):
    """From which statuses to which one an event leads, and what it may add to (attempt, losses)."""

    sources: frozenset[str]
    target: str
    costs: Costs = ((0, 0),)


NOTHING: Final = ""
_RUNNING: Final = frozenset({Status.IN_PROGRESS})
_GIVEN_BACK: Final = ((-1, 0),)
STEPS: Final[dict[str, Step]] = {
    EventType.CREATED: Step(frozenset({NOTHING}), Status.NEW),
    EventType.CLAIMED: Step(frozenset({Status.NEW}), Status.IN_PROGRESS, ((1, 0),)),
    EventType.SUCCEEDED: Step(_RUNNING, Status.SUCCEEDED),
    EventType.FAILED: Step(_RUNNING, Status.FAILED),
    EventType.RETRY_SCHEDULED: Step(_RUNNING, Status.NEW),
    EventType.HANDED_BACK: Step(_RUNNING, Status.NEW, _GIVEN_BACK),
    EventType.LOST: Step(_RUNNING, Status.NEW, ((-1, 1),)),
    EventType.EXPIRED: Step(frozenset({Status.NEW}), Status.FAILED),
    EventType.RESCHEDULED: Step(frozenset({Status.NEW}), Status.NEW),
    EventType.CANCEL_REQUESTED: Step(_RUNNING, Status.IN_PROGRESS),
    EventType.CANCELLED: Step(frozenset({Status.NEW, Status.IN_PROGRESS}), Status.CANCELLED),
    EventType.RUN_AGAIN: Step(TERMINAL, Status.NEW),
}
# A requested cancel ends a claim in place of a failure, a hand-back or a loss, and costs the same.
_COSTS_OF_CANCELLED_CLAIM: Final = ((0, 0), (-1, 0), (-1, 1))
STATUSES: Final[frozenset[str]] = frozenset(Status)
ENDED: Final[frozenset[str]] = TERMINAL
ALLOWED_PAIRS: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        (NOTHING, Status.NEW),
        (Status.NEW, Status.NEW),  # rescheduled
        (Status.IN_PROGRESS, Status.IN_PROGRESS),  # a requested cancel
        *((before, after) for before, afters in ALLOWED.items() for after in afters),
    }
)
SETS_DUE_TIME: Final[frozenset[str]] = frozenset(
    {
        EventType.RETRY_SCHEDULED,
        EventType.HANDED_BACK,
        EventType.LOST,
        EventType.RESCHEDULED,
        EventType.RUN_AGAIN,
    }
)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
ORIGIN: Final = HistoryEntry(
    task_id=UUID(int=0),
    version=0,
    at=_LONG_AGO,
    event_type=NOTHING,
    status=NOTHING,
    run=1,
    attempt=0,
    losses=0,
    claim_no=0,
    run_at=_LONG_AGO,
    lease_id=None,
    reason=None,
    error=None,
)
"""Stands before the first entry."""


def is_lost_for_good(entry: HistoryEntry) -> bool:
    """Return whether the task failed because it was lost and had no loss left."""
    return entry.event_type == EventType.FAILED and entry.reason == Reason.WORKER_LOST


def costs_of(step: Step, entry: HistoryEntry, *, ran: bool) -> Costs:
    """Return what an entry may add to (attempt, losses); `ran` is whether a claim was open before it."""
    if is_lost_for_good(entry):
        return _GIVEN_BACK
    if ran and entry.event_type == EventType.CANCELLED:
        return _COSTS_OF_CANCELLED_CLAIM
    return step.costs


def ignores_cancel(entry: HistoryEntry) -> bool:
    """Return whether a claim may not end like this once its cancel was requested."""
    goes_back = entry.status == Status.NEW and entry.event_type != EventType.RUN_AGAIN
    return goes_back or is_lost_for_good(entry)
