"""The rules of attention for queues, their tasks, and workers; `attention_system_rules` has those for the service.

They are the only ones: pages, `taskmill top` and the API show what they find.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from taskmill.domain.attention import Facts, Notice, NoticeKind, Severity
from taskmill.domain.attention_snapshot import (
    AttentionSnapshot,
    DueTasks,
    QueueLoad,
    RecentEnds,
)
from taskmill.domain.attention_system_rules import system_notices
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Liveness, WorkerRequest

RECENTLY: Final = timedelta(minutes=15)
"""Over how long rates and shares are taken."""
LATE: Final = timedelta(minutes=1)
"""A due task that waits for so long is late."""

# A backlog grows when so many more tasks came than went, and more than so large a part of those that came.
_LEAST_GROWTH: Final = 10
_GROWING_SHARE: Final = 0.05
_FULL_SHARE: Final = 0.9
# Under a steady load some task is always just due. Only one that waits for so long says that slots are missing.
_LONG_DUE: Final = timedelta(seconds=5)
_FAILING_SHARE: Final = 0.2
_FEWEST_FAILURES: Final = 10
_MOSTLY: Final = 0.5
_FEWEST_OF_DAY: Final = 50
_TIMES_USUAL: Final = 2.0
_POINTS_UP: Final = 0.05
_MINUTES: Final = RECENTLY / timedelta(minutes=1)


def is_late(oldest_due_at: datetime, now: datetime) -> bool:
    """Return whether tasks of which the oldest is due since a moment are late."""
    return now - oldest_due_at >= LATE


def find_notices(snapshot: AttentionSnapshot) -> list[Notice]:
    """Decide what needs attention, in any order and however much it is; no two have the same id."""
    found = chain(
        _workers(snapshot),
        _queues(snapshot),
        _slots(snapshot),
        _ends(snapshot),
        _errors(snapshot),
        _refused(snapshot),
        system_notices(snapshot),
    )
    # Processes may share a name, and duties of a process, too.
    return list({one.id: one for one in found}.values())


def _workers(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    if not _has_workers(snapshot):
        yield _no_workers(snapshot)
    yield from _silent_workers(snapshot)
    yield from _lost_workers(snapshot)
    yield from _stopping_workers(snapshot)


def _no_workers(snapshot: AttentionSnapshot) -> Notice:
    waiting = sum(queue.counts.get(Status.NEW, 0) for queue in snapshot.queues)
    return Notice(
        kind=NoticeKind.NO_WORKERS,
        case="waiting" if waiting else "idle",
        severity=Severity.TROUBLE if waiting else Severity.WARNING,
        facts={"n": waiting},
        since=min((one.since for one in snapshot.due), default=None),
        tasks=waiting,
    )


def _silent_workers(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    for worker in snapshot.workers:
        if worker.state is Liveness.EXPIRED:
            yield Notice(
                kind=NoticeKind.WORKER_SILENT,
                case="silent",
                severity=Severity.TROUBLE,
                subject=str(worker.id),
                facts={
                    "worker": worker.name,
                    "span": snapshot.ago(worker.renewed_at),
                    "n": worker.running,
                },
                since=worker.renewed_at,
                tasks=worker.running,
            )


def _lost_workers(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    for lost in snapshot.lost_workers:
        yield Notice(
            kind=NoticeKind.WORKER_LOST,
            case="running" if lost.tasks else "idle",
            severity=Severity.TROUBLE if lost.tasks else Severity.WARNING,
            subject=str(lost.id),
            facts={"worker": lost.name, "n": lost.tasks},
            since=lost.lost_at,
            tasks=lost.tasks,
        )


def _stopping_workers(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    for worker in snapshot.workers:
        if worker.state is Liveness.ALIVE and worker.request is not None:
            is_stopping = worker.request is WorkerRequest.STOP or worker.stop_when_empty
            yield Notice(
                kind=NoticeKind.WORKER_STOPPING,
                case="stop" if is_stopping else "quiet",
                severity=Severity.WARNING,
                subject=str(worker.id),
                facts={"worker": worker.name, "n": worker.running},
                tasks=worker.running,
            )


def _queues(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    due, has_workers = snapshot.due_by_queue, _has_workers(snapshot)
    by_age = sorted(snapshot.queues, key=lambda one: (_oldest(due.get(one.name, ())), one.name))
    for queue in by_age:
        if queue.paused_at is not None:
            yield from _paused(queue)
            continue
        of_queue = due.get(queue.name, ())
        if has_workers:
            yield from (_unserved(one) for one in of_queue if _is_unserved(snapshot, one))
        yield from _late(snapshot, queue, [one for one in of_queue if one.workers])


def _has_workers(snapshot: AttentionSnapshot) -> bool:
    is_pulled = bool(snapshot.pulled)
    return is_pulled or any(one.state is Liveness.ALIVE for one in snapshot.workers)


def _is_unserved(snapshot: AttentionSnapshot, due: DueTasks) -> bool:
    """Return whether no worker takes these tasks; one that pulls their type over HTTP may be about to."""
    if due.workers:
        return False
    return due.type not in snapshot.pulled or is_late(due.since, snapshot.at)


def _oldest(due: Sequence[DueTasks]) -> float:
    return min((one.since.timestamp() for one in due), default=float("inf"))


def _paused(queue: QueueLoad) -> Iterator[Notice]:
    if waiting := queue.counts.get(Status.NEW, 0):
        yield Notice(
            kind=NoticeKind.PAUSED,
            case="paused",
            severity=Severity.WARNING,
            subject=queue.name,
            queue=queue.name,
            facts={"queue": queue.name, "n": waiting},
            since=queue.paused_at,
            tasks=waiting,
        )


def _unserved(due: DueTasks) -> Notice:
    return Notice(
        kind=NoticeKind.UNSERVED,
        case="many" if due.are_more else "due",
        severity=Severity.TROUBLE,
        subject=f"{due.queue} {due.type}",
        queue=due.queue,
        facts={"queue": due.queue, "type": due.type, "n": due.tasks},
        since=due.since,
        tasks=due.tasks,
        are_more=due.are_more,
    )


def _late(
    snapshot: AttentionSnapshot, queue: QueueLoad, due: Sequence[DueTasks]
) -> Iterator[Notice]:
    since = min((one.since for one in due), default=snapshot.at)
    if not is_late(since, snapshot.at):
        return
    tasks, are_more = sum(one.tasks for one in due), any(one.are_more for one in due)
    case, trend = _trend(queue, None if are_more else tasks)
    is_growing = case == "growing"
    yield Notice(
        kind=NoticeKind.BACKLOG_GROWING if is_growing else NoticeKind.LATE,
        case=case,
        severity=Severity.TROUBLE if is_growing else Severity.WARNING,
        subject=queue.name,
        queue=queue.name,
        facts={"queue": queue.name, "n": tasks, "span": snapshot.ago(since), **trend},
        since=since,
        tasks=tasks,
        are_more=are_more,
    )


def _trend(queue: QueueLoad, tasks: int | None) -> tuple[str, Facts]:
    """Return how the backlog of a queue changes: as many more a minute, or when it will be gone.

    That can't be said of more tasks than were counted, which is None.
    """
    more = queue.entered - queue.left
    if more >= max(_LEAST_GROWTH, _GROWING_SHARE * queue.entered):
        return "growing", {"rate": more / _MINUTES}
    if more < 0 and tasks is not None:
        return "shrinking", {"gone_in": RECENTLY * (tasks / -more)}
    return "waiting", {}


def _slots(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    alive = [one for one in snapshot.workers if one.state is Liveness.ALIVE]
    slots, running = sum(one.slots for one in alive), sum(one.running for one in alive)
    due = [one for one in snapshot.due if one.workers and snapshot.at - one.since >= _LONG_DUE]
    if slots and due and running >= _FULL_SHARE * slots:
        yield Notice(
            kind=NoticeKind.SLOTS_FULL,
            case="full",
            severity=Severity.WARNING,
            facts={
                "running": running,
                "slots": slots,
                "queues": sorted({one.queue for one in due}),
            },
            tasks=sum(one.tasks for one in due),
            are_more=any(one.are_more for one in due),
        )


def _ends(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    for ends in sorted(snapshot.ends, key=lambda one: (-one.failed, one.queue, one.type)):
        if ends.failed >= _FEWEST_FAILURES:
            yield from _failing(ends)
        if ends.expired:
            expired = _of_ends(ends, ends.expired)
            yield replace(expired, kind=NoticeKind.EXPIRIES, case="expired")


def _failing(ends: RecentEnds) -> Iterator[Notice]:
    """Compare the share of failures with that of the day before, or with what never is usual."""
    is_known = ends.day_ended >= _FEWEST_OF_DAY
    is_up = ends.share >= max(_TIMES_USUAL * ends.day_share, ends.day_share + _POINTS_UP)
    failing = replace(
        _of_ends(ends, ends.failed, share=ends.share, ended=ends.ended),
        severity=Severity.TROUBLE if ends.share >= _MOSTLY else Severity.WARNING,
    )
    if is_known and is_up:
        facts = {**failing.facts, "usual": ends.day_share}
        yield replace(failing, kind=NoticeKind.FAILURES_UP, case="up", facts=facts)
    elif ends.share >= _FAILING_SHARE:
        yield failing


def _of_ends(ends: RecentEnds, tasks: int, **facts: object) -> Notice:
    return Notice(
        kind=NoticeKind.FAILING,
        case="failing",
        severity=Severity.WARNING,
        subject=f"{ends.queue} {ends.type}",
        queue=ends.queue,
        facts={"queue": ends.queue, "type": ends.type, "n": tasks, **facts},
        tasks=tasks,
    )


def _errors(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    for lost in snapshot.lost_tasks:
        yield Notice(
            kind=NoticeKind.LOSSES_EXHAUSTED,
            case="failed",
            severity=Severity.TROUBLE,
            subject=lost.type,
            facts={"type": lost.type, "n": lost.tasks},
            since=lost.first_at,
            tasks=lost.tasks,
        )
    for new in snapshot.new_errors:
        yield Notice(
            kind=NoticeKind.NEW_ERROR,
            case="new",
            severity=Severity.WARNING,
            subject=f"{new.type} {new.error}",
            facts={"type": new.type, "error": new.error, "n": new.tasks},
            since=new.first_at,
            tasks=new.tasks,
        )
    for one in snapshot.returned_kinds:
        yield Notice(
            kind=NoticeKind.ERROR_CAME_BACK,
            case="again",
            severity=Severity.WARNING,
            subject=one.error,
            facts={"error": one.error, "span": snapshot.ago(one.resolved_at)},
        )


def _refused(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    for refused in snapshot.refused:
        is_known, are_more = refused.queue is not None, refused.are_more
        yield Notice(
            kind=NoticeKind.REFUSED,
            case=("queue" if is_known else "unknown") + ("_many" if are_more else ""),
            severity=Severity.WARNING,
            subject=refused.queue or "",
            queue=refused.queue,
            facts={"queue": refused.queue, "n": refused.messages},
            since=refused.first_at,
        )
