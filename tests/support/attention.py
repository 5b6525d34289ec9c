"""Snapshots of a service in which nothing needs attention, but for what a test names."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from taskmill.domain.attention import Attention, Notice, conclude
from taskmill.domain.attention_rules import find_notices
from taskmill.domain.attention_snapshot import (
    AttentionSnapshot,
    DueTasks,
    FailedTasks,
    FailingDuty,
    FailingWebhook,
    LostWorker,
    ProcessState,
    QueueLoad,
    RecentEnds,
    RefusedMessages,
    ReturnedKind,
    ScheduleState,
)
from taskmill.domain.figures import DatabaseFigures, DeliveryFigures, SystemFigures
from taskmill.domain.fires import FireOutcome
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import BrokerPresence, BrokerState, Liveness, WorkerRequest, WorkerState
from tests.support.stored_schedules import a_fire, a_request, a_schedule

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
WELL = BrokerState(presence=BrokerPresence.OK, policy="auto")
FIGURES = SystemFigures(
    queues=(),
    workers=1,
    slots=10,
    database=DatabaseFigures(
        overdue_leases=0, unnumbered=0, unnumbered_s=0.0, snapshot_s=0.0, xmin_age=0
    ),
    deliveries=DeliveryFigures(waiting=0, late_s=0.0, unread_s=0.0),
    lags_s={},
    partitions=10,
    weeks_ahead=2,
)


def ago(**parts: float) -> datetime:
    return NOON - timedelta(**parts)


def worker(name: str = "host-1", number: int = 1, **parts: Any) -> WorkerState:  # noqa: ANN401 - its fields
    usual: dict[str, Any] = {
        "queues": [],
        "types": ["*"],
        "slots": 10,
        "running": 3,
        "started_at": ago(hours=1),
        "renewed_at": ago(seconds=2),
        "expires_at": NOON + timedelta(seconds=13),
        "closed_at": None,
        "close_reason": None,
        "request": None,
        "remote": False,
        "state": Liveness.ALIVE,
        "version": "1.0.0",
    }
    return WorkerState(id=UUID(int=number), name=name, **{**usual, **parts})


def silent(seconds: float, **parts: Any) -> WorkerState:  # noqa: ANN401 - its fields
    return worker(
        state=Liveness.EXPIRED,
        renewed_at=ago(seconds=seconds + 15),
        expires_at=ago(seconds=seconds),
        **parts,
    )


def due(queue: str = "mail", type_: str = "send", **parts: Any) -> DueTasks:  # noqa: ANN401 - its fields
    usual: dict[str, Any] = {"since": ago(seconds=5), "workers": 1, "tasks": 1}
    return DueTasks(queue=queue, type=type_, **{**usual, **parts})


def queue(name: str = "mail", waiting: int = 0, **parts: Any) -> QueueLoad:  # noqa: ANN401 - its fields
    usual: dict[str, Any] = {"paused_at": None, "counts": {Status.NEW: waiting}}
    return QueueLoad(name=name, **{**usual, **parts})


def process(name: str = "host-1", **parts: Any) -> ProcessState:  # noqa: ANN401 - its fields
    usual: dict[str, Any] = {
        "roles": ["maintenance"],
        "version": "1.0.0",
        "seen_at": ago(seconds=40),
        "clock_ahead_s": 0.1,
    }
    return ProcessState(id=UUID(int=3), name=name, **{**usual, **parts})


def ends(**parts: int) -> RecentEnds:
    return RecentEnds(queue="mail", type="send", **parts)


def ticked(*outcomes: FireOutcome) -> ScheduleState:
    """A schedule with a tick a minute, and what became of these, the newest first."""
    fires = [a_fire(back, outcome) for back, outcome in enumerate(outcomes)]
    return ScheduleState(schedule=a_schedule(), fires=fires)


def snapshot(**parts: Any) -> AttentionSnapshot:  # noqa: ANN401 - its fields
    usual: dict[str, Any] = {
        "at": NOON,
        "is_whole": True,
        "broker": WELL,
        "workers": [worker()],
        "figures": FIGURES,
    }
    return AttentionSnapshot(**{**usual, **parts})


def attention(**parts: Any) -> Attention:  # noqa: ANN401 - the fields of a snapshot
    return conclude(NOON, find_notices(snapshot(**parts)))


def notices(**parts: Any) -> list[Notice]:  # noqa: ANN401 - the fields of a snapshot
    return list(attention(**parts).notices)


def figures(**parts: Any) -> SystemFigures:  # noqa: ANN401 - its fields
    return replace(FIGURES, **parts)


def database(**parts: float) -> SystemFigures:
    return replace(FIGURES, database=replace(FIGURES.database, **parts))  # type: ignore[arg-type]  # its fields


def deliveries(**parts: float) -> SystemFigures:
    return replace(FIGURES, deliveries=replace(FIGURES.deliveries, **parts))  # type: ignore[arg-type]  # the same


_LOST = LostWorker(id=UUID(int=9), name="host-9", lost_at=ago(hours=2), tasks=4)
WEBHOOK = FailingWebhook(
    id=UUID(int=5),
    host="shop.example.org",
    description="Orders",
    since=ago(minutes=30),
    is_disabled=False,
    reason=None,
    deliveries=7,
    are_more=False,
)
_OLD = due(since=ago(minutes=2), tasks=40)
_REFUSED = RefusedMessages(queue="mail", messages=40, first_at=ago(hours=3))
_LATE = a_schedule(next_at=ago(minutes=5), moment=NOON)
_SKIPPED = (FireOutcome.SKIPPED_OVERLAP,) * 2
_AWAY = BrokerState(presence=BrokerPresence.AWAY, policy="auto", trouble="refused")

CASES: Mapping[str, Mapping[str, Any]] = {
    "database_slow.slow": {"figures": None},
    "database_unwritable.full": {"unwritable": "could not extend file: No space left on device"},
    "database_unwritable.other": {"unwritable": "nothing was committed within 1 s"},
    "no_maintenance.overdue": {"workers": [worker(), silent(90, number=2)]},
    "no_workers.waiting": {"workers": [], "queues": [queue(waiting=3)]},
    "no_workers.idle": {"workers": []},
    "broker_away.awaited": {"broker": replace(_AWAY, policy="rabbitmq")},
    "broker_away.replaced": {"broker": _AWAY},
    "unserved.due": {"queues": [queue(waiting=12)], "due": [due(workers=0, tasks=12)]},
    "unserved.many": {
        "queues": [queue(waiting=20_000)],
        "due": [due(workers=0, tasks=10_000, are_more=True)],
    },
    "backlog_growing.growing": {"queues": [queue(entered=900, left=300)], "due": [_OLD]},
    "late.waiting": {"queues": [queue()], "due": [_OLD]},
    "late.shrinking": {"queues": [queue(entered=300, left=900)], "due": [_OLD]},
    "losses_exhausted.failed": {
        "lost_tasks": [FailedTasks(type="send", error="WorkerLost", tasks=3, first_at=ago(hours=5))]
    },
    "worker_lost.running": {"lost_workers": [_LOST]},
    "worker_lost.idle": {"lost_workers": [replace(_LOST, tasks=0)]},
    "worker_silent.silent": {"workers": [worker(), silent(20, number=2)]},
    "failures_up.up": {"ends": [ends(succeeded=80, failed=20, day_succeeded=990, day_failed=10)]},
    "failing.failing": {"ends": [ends(succeeded=20, failed=20)]},
    "webhook_failing.failing": {"webhooks": [WEBHOOK]},
    "webhook_failing.failing_many": {"webhooks": [replace(WEBHOOK, are_more=True)]},
    "webhook_failing.disabled": {
        "webhooks": [replace(WEBHOOK, is_disabled=True, reason="responded with 410")]
    },
    "deliveries_late.late": {"figures": deliveries(late_s=61.0)},
    "deliveries_unread.late": {"figures": deliveries(unread_s=61.0)},
    "schedule_refused.refused": {"schedules": [ticked(*[FireOutcome.REFUSED] * 3)]},
    "schedule_request_refused.refused": {
        "schedules": [ScheduleState(schedule=a_schedule(request=a_request(problem="{}")))]
    },
    "schedule_unreadable.unreadable": {
        "schedules": [ScheduleState(schedule=_LATE, is_readable=False)]
    },
    "schedule_late.late": {"schedules": [ScheduleState(schedule=_LATE)]},
    "schedule_slow.slow": {"schedules": [ticked(*[FireOutcome.CREATED, *_SKIPPED] * 3)]},
    "schedule_slow.none": {"schedules": [ticked(*_SKIPPED * 2)]},
    "feed_behind.behind": {"figures": database(unnumbered_s=11.0)},
    "follower_behind.behind": {"figures": figures(lags_s={"rabbitmq": 61.0})},
    "partitions_missing.missing": {"figures": figures(weeks_ahead=1)},
    "partitions_many.many": {"figures": figures(partitions=66)},
    "slots_full.full": {"workers": [worker(running=9)], "queues": [queue()], "due": [due()]},
    "new_error.new": {
        "new_errors": [
            FailedTasks(type="send", error="ValueError: no", tasks=2, first_at=ago(minutes=9))
        ]
    },
    "error_came_back.again": {
        "returned_kinds": [ReturnedKind(error="ValueError: no", resolved_at=ago(hours=7))]
    },
    "expiries.expired": {"ends": [ends(expired=2)]},
    "refused.queue": {"refused": [_REFUSED]},
    "refused.queue_many": {"refused": [replace(_REFUSED, are_more=True)]},
    "refused.unknown": {"refused": [replace(_REFUSED, queue=None)]},
    "refused.unknown_many": {"refused": [replace(_REFUSED, queue=None, are_more=True)]},
    "paused.paused": {"queues": [queue(waiting=2, paused_at=ago(hours=1))]},
    "worker_stopping.quiet": {"workers": [worker(request=WorkerRequest.QUIET)]},
    "worker_stopping.stop": {"workers": [worker(request=WorkerRequest.STOP)]},
    "old_snapshot.old": {"figures": database(snapshot_s=301.0)},
    "old_snapshot.far": {"figures": database(xmin_age=5_000_001)},
    "versions_differ.processes": {"workers": [worker(), worker(number=2, version="1.1.0")]},
    "role_missing.missing": {"processes": [process(seen_at=ago(minutes=4))]},
    "duty_failing.failing": {
        "processes": [
            process(failing=[FailingDuty(name="rescue", failures=3, for_s=9.0, error="OSError")])
        ]
    },
    "clock_skew.ahead": {"processes": [process(clock_ahead_s=5.0)]},
    "clock_skew.behind": {"processes": [process(clock_ahead_s=-61.0)]},
}
"""For each sentence the facts that lead to it."""
