"""The status machine: statuses, allowed transitions, and the one decision of how an attempt ends.

Worker, rescue and API apply the transitions that `decide` returns; a trigger in the database refuses any
other. This module has no clock, randomness or storage: what it needs of them is passed in.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import assert_never

from taskmill.domain.retry import RetryPolicy

LONGEST_DELAY = timedelta(days=365)
"""The longest wait for a next attempt, whatever is requested: a time beyond the calendar can't be read back."""


class Status(StrEnum):
    """Where a task is. Three of them are terminal."""

    NEW = "new"
    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})

# The second way into `new` (from a terminal status) is an operator's retry: it must add 1 to `run`.
ALLOWED: dict[Status, frozenset[Status]] = {
    Status.NEW: frozenset({Status.IN_PROGRESS, Status.CANCELLED, Status.FAILED}),
    Status.IN_PROGRESS: frozenset({Status.NEW, *TERMINAL}),
    Status.SUCCEEDED: frozenset({Status.NEW}),
    Status.FAILED: frozenset({Status.NEW}),
    Status.CANCELLED: frozenset({Status.NEW}),
}


class EventType(StrEnum):
    """What a history entry records; the entry's `status` says where the task went."""

    CREATED = "created"
    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRY_SCHEDULED = "retry_scheduled"
    HANDED_BACK = "handed_back"
    LOST = "lost"
    EXPIRED = "expired"
    RESCHEDULED = "rescheduled"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    RUN_AGAIN = "run_again"


class Reason(StrEnum):
    """Why a task changed, where the event type alone does not say it."""

    ERROR = "error"
    TIMEOUT = "timeout"
    PERMANENT = "permanent"
    PAYLOAD_REFUSED = "payload_refused"
    RETRY_REQUESTED = "retry_requested"
    WORKER_LOST = "worker_lost"
    WORKER_STOPPED = "worker_stopped"
    LEASE_UNSURE = "lease_unsure"
    NO_HANDLER = "no_handler"
    CONTRACT_UNREAD = "contract_unread"
    TICK_UNREAD = "tick_unread"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """What went wrong in an attempt, as shown in the task's `error`.

    `place` is the innermost function of the handler's own code, `fingerprint` the handler's own name for errors of
    this kind: `error_kinds` groups failures by them.
    """

    type: str
    message: str
    place: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The handler returned; `result` is JSON text or None."""

    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The handler raised, or ran longer than its `timeout_s`; it may be retried."""

    error: ErrorInfo
    reason: Reason = Reason.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The handler requests another attempt, `after` a time that it chooses (at most a year) or by the policy."""

    error: ErrorInfo
    after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permanent:
    """Another attempt can't help: the handler says so, or the payload was refused."""

    error: ErrorInfo
    reason: Reason = Reason.PERMANENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The worker's lease ended while the task ran; what its handler did is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The worker handed the task back before the attempt had finished; `reason` says why."""

    reason: Reason = Reason.WORKER_STOPPED
    after: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The handler stopped because a cancel was requested."""


Outcome = Succeeded | Failed | Retry | Permanent | Lost | Interrupted | Cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFacts:
    """The facts of a running attempt that the decision needs."""

    attempt: int
    max_attempts: int
    losses: int
    max_losses: int
    retry: RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """How an attempt ends: the next status and what changes with it.

    `delay` is the time from now to the next attempt (only for `new`); `spends_attempt` is False when the
    attempt does not count; `counts_loss` adds one to `losses`.
    """

    status: Status
    event_type: EventType
    reason: Reason | None = None
    delay: timedelta = timedelta(0)
    spends_attempt: bool = True
    counts_loss: bool = False
    result: str | None = None
    error: ErrorInfo | None = None


LOST_ERROR = ErrorInfo(
    type="WorkerLost",
    message="The worker's lease ended while the task ran, and no loss was left to spend.",
)


def decide(
    outcome: Outcome, facts: AttemptFacts, *, cancel_requested: bool, jitter: float
) -> Transition:
    """Return how the attempt ends.

    `jitter` is a random number in [0, 1) for the back-off. A success always wins; with `cancel_requested`
    every way back to `new`, and every loss, ends in `cancelled` instead.
    """
    transition = _decide(outcome, facts, jitter)
    if cancel_requested and (transition.status is Status.NEW or isinstance(outcome, Lost)):
        return _cancelled_instead(transition)
    return transition


def _decide(  # noqa: PLR0911 - one return for each outcome
    outcome: Outcome, facts: AttemptFacts, jitter: float
) -> Transition:
    match outcome:
        case Succeeded(result=result):
            return succeeded(result)
        case Permanent(error=error, reason=reason):
            return _failed(error, reason)
        case Failed(error=error, reason=reason):
            return _retried_or_failed(facts, error, reason, None, jitter)
        case Retry(error=error, after=after):
            return _retried_or_failed(facts, error, Reason.RETRY_REQUESTED, after, jitter)
        case Lost():
            return _lost(facts)
        case Interrupted(reason=reason, after=after):
            return Transition(
                status=Status.NEW,
                event_type=EventType.HANDED_BACK,
                reason=reason,
                delay=after,
                spends_attempt=False,
            )
        case Cancelled():
            return Transition(
                status=Status.CANCELLED, event_type=EventType.CANCELLED, reason=Reason.CANCELLED
            )
        case _:
            assert_never(outcome)


def succeeded(result: str | None) -> Transition:
    """Return how an attempt ends whose handler returned: that depends on nothing else."""
    return Transition(status=Status.SUCCEEDED, event_type=EventType.SUCCEEDED, result=result)


def _failed(error: ErrorInfo, reason: Reason) -> Transition:
    return Transition(status=Status.FAILED, event_type=EventType.FAILED, reason=reason, error=error)


def _retried_or_failed(
    facts: AttemptFacts, error: ErrorInfo, reason: Reason, after: timedelta | None, jitter: float
) -> Transition:
    if facts.attempt >= facts.max_attempts:
        return _failed(error, reason)
    delay = facts.retry.delay(facts.attempt, jitter) if after is None else after
    return Transition(
        status=Status.NEW,
        event_type=EventType.RETRY_SCHEDULED,
        reason=reason,
        delay=min(max(delay, timedelta(0)), LONGEST_DELAY),
        error=error,
    )


def _lost(facts: AttemptFacts) -> Transition:
    if facts.losses >= facts.max_losses:
        return Transition(
            status=Status.FAILED,
            event_type=EventType.FAILED,
            reason=Reason.WORKER_LOST,
            error=LOST_ERROR,
            spends_attempt=False,
        )
    return Transition(
        status=Status.NEW,
        event_type=EventType.LOST,
        reason=Reason.WORKER_LOST,
        spends_attempt=False,
        counts_loss=True,
    )


def _cancelled_instead(transition: Transition) -> Transition:
    """Keep what the attempt cost and its error; only the next status changes."""
    return Transition(
        status=Status.CANCELLED,
        event_type=EventType.CANCELLED,
        reason=Reason.CANCELLED,
        error=transition.error,
        spends_attempt=transition.spends_attempt,
        counts_loss=transition.counts_loss,
    )
