"""Explain snapshots of tasks in each status, with defaults: a test names only what it is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from taskmill.domain.blockers import Blocker, BlockerName, BlockerState
from taskmill.domain.explain_snapshot import (
    ExplainSnapshot,
    HeldLease,
    LastEvent,
    OpenLease,
    QueuePosition,
)
from taskmill.domain.explanation import Explanation, explain
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.system import BrokerPresence, BrokerState

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
TASK_ID = UUID(int=7)
WORKER_ID = UUID(int=1)
NO_BROKER = BrokerState(presence=BrokerPresence.NONE, policy="postgres")
BROKER = BrokerState(presence=BrokerPresence.OK, policy="auto")

IDLE = QueuePosition(running={}, ahead=0)


def s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def a_worker(**parts: Any) -> OpenLease:  # noqa: ANN401 - the fields
    given: dict[str, Any] = {
        "id": WORKER_ID,
        "worker": "w1",
        "queues": frozenset(),
        "types": frozenset({"report"}),
        "slots": 4,
        "running": 1,
        "renewed_at": NOON - s(2),
        "expires_at": NOON + s(13),
    }
    return OpenLease(**{**given, **parts})


def a_last(event_type: EventType, reason: str | None = None) -> LastEvent:
    return LastEvent(at=NOON - s(20), event_type=event_type, reason=reason)


def waiting(**parts: Any) -> ExplainSnapshot:  # noqa: ANN401 - the fields
    """A task that nothing keeps."""
    given: dict[str, Any] = {
        "now": NOON,
        "task_id": TASK_ID,
        "status": Status.NEW,
        "queue": "mail",
        "type": "report",
        "priority": 4,
        "run": 1,
        "attempt": 0,
        "max_attempts": 3,
        "losses": 0,
        "max_losses": 3,
        "claim_no": 0,
        "cancel_requested": False,
        "run_at": NOON - s(30),
        "expires_at": None,
        "started_at": None,
        "finished_at": None,
        "timeout": None,
        "error": None,
        "lease_id": None,
        "lease": None,
        "last": a_last(EventType.CREATED),
        "is_enqueued": True,
        "queue_paused_at": None,
        "leases": (a_worker(),),
        "broker": NO_BROKER,
        "position": IDLE,
    }
    return ExplainSnapshot(**{**given, **parts})


def a_lease(**parts: Any) -> HeldLease:  # noqa: ANN401 - the fields
    given: dict[str, Any] = {
        "worker": "w1",
        "renewed_at": NOON - s(2),
        "expires_at": NOON + s(13),
        "closed_at": None,
        "close_reason": None,
    }
    return HeldLease(**{**given, **parts})


def in_progress(**parts: Any) -> ExplainSnapshot:  # noqa: ANN401 - the fields
    given: dict[str, Any] = {
        "status": Status.IN_PROGRESS,
        "attempt": 1,
        "claim_no": 1,
        "started_at": NOON - s(5),
        "lease_id": WORKER_ID,
        "lease": a_lease(),
        "last": a_last(EventType.CLAIMED),
        "is_enqueued": False,
        "position": None,
    }
    return waiting(**{**given, **parts})


def ended(status: Status, **parts: Any) -> ExplainSnapshot:  # noqa: ANN401 - the fields
    given: dict[str, Any] = {
        "status": status,
        "attempt": 3,
        "finished_at": NOON - s(60),
        "is_enqueued": False,
        "position": None,
    }
    return waiting(**{**given, **parts})


def blocker_of(explanation: Explanation, name: BlockerName) -> Blocker:
    return next(blocker for blocker in explanation.blockers if blocker.name is name)


def holding(c: ExplainSnapshot) -> list[BlockerName]:
    return [blocker.name for blocker in explain(c).blockers if blocker.state is BlockerState.HOLDS]


def unreached(c: ExplainSnapshot) -> list[BlockerName]:
    return [
        blocker.name for blocker in explain(c).blockers if blocker.state is BlockerState.NOT_REACHED
    ]


def facts_of(c: ExplainSnapshot, name: BlockerName) -> Mapping[str, object]:
    return blocker_of(explain(c), name).facts
