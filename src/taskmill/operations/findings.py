"""The findings of `verify` outside of a task's history: one function for each kind."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from taskmill.domain import identity
from taskmill.domain.checks import Check, Finding
from taskmill.domain.history import HistoryEntry
from taskmill.storage.verification import (
    CountDifference,
    FeedDifference,
    HeldKey,
    OverdueBucket,
    PositionHole,
    StoredRejection,
    StrayRow,
)
from taskmill.storage.weeks import Week


def stray_history(task_id: UUID) -> Finding:
    """Report history without a task."""
    return Finding(
        check=Check.HISTORY_WITHOUT_TASK, task_id=task_id, expected="a task", found="its history"
    )


def after_moment(entry: HistoryEntry) -> Finding:
    """Report a change after the moment to which the database was restored."""
    return Finding(
        check=Check.AFTER_MOMENT,
        task_id=entry.task_id,
        version=entry.version,
        expected="no change after the moment",
        found=f"{entry.event_type} at {entry.at.isoformat()}",
    )


def stray_row(row: StrayRow) -> Finding:
    """Report a row in `dispatch` or `running` without a task."""
    is_waiting = row.place == "dispatch"
    return Finding(
        check=Check.DISPATCH_SURPLUS if is_waiting else Check.RUNNING_SURPLUS,
        task_id=row.task_id,
        expected=f"no row in {row.place}",
        found="a row, and no task",
    )


def feed_difference(difference: FeedDifference) -> Finding:
    """Report a change that only the history has, or only the feed, or the feed twice."""
    is_missing = difference.is_missing
    return Finding(
        check=Check.CHANGE_MISSING if is_missing else Check.CHANGE_UNKNOWN,
        task_id=difference.task_id,
        version=difference.version,
        expected="once in the history, once in the feed",
        found="not in the feed" if is_missing else "once more in the feed than in the history",
    )


def position_hole(hole: PositionHole) -> Finding:
    """Report positions that are missing."""
    return Finding(
        check=Check.POSITION_GAP,
        subject=f"position {hole.before + 1}",
        expected=f"{hole.before + 1} after {hole.before}",
        found=f"{hole.after}",
    )


def counter_drift(difference: CountDifference) -> Finding:
    """Report a counter that is wrong."""
    return Finding(
        check=Check.COUNTER_DRIFT,
        subject=f"queue {difference.queue}, {difference.status}",
        expected=f"{difference.counted} tasks",
        found=f"{difference.recorded}",
    )


def key_faults(key: HeldKey, pruned_before: datetime) -> Iterator[Finding]:
    """Report an idempotency key without a task; one that is past its queue's time may be gone."""
    if not key.has_task and key.task_id >= identity.lower_bound(pruned_before):
        yield Finding(
            check=Check.KEY_WITHOUT_TASK,
            task_id=key.task_id,
            subject=f"key {key.key} of {key.scope}",
            expected="a task",
            found="none",
        )


def shared_key(task_id: UUID, keys: int) -> Finding:
    """Report a task that has several keys."""
    return Finding(
        check=Check.KEY_SHARED, task_id=task_id, expected="one key", found=f"{keys} keys"
    )


def resend_faults(
    rejection: StoredRejection, weeks: Sequence[Week], pruned_before: datetime
) -> Iterator[Finding]:
    """Report what is wrong with the task of a refused message; one that is past its retention may be gone."""
    subject, task_id = f"rejection {rejection.id}", rejection.task_id
    if (rejection.resent_at is None) != (task_id is None):
        yield Finding(
            check=Check.RESEND_INCOMPLETE,
            task_id=task_id,
            subject=subject,
            expected="the time when it was sent again, and a task",
            found="the time only" if task_id is None else "the task only",
        )
    if (
        task_id is not None
        and not rejection.has_task
        and _is_retained(task_id, weeks, pruned_before)
    ):
        yield Finding(
            check=Check.RESEND_WITHOUT_TASK,
            task_id=task_id,
            subject=subject,
            expected="a task",
            found="none",
        )


def _is_retained(task_id: UUID, weeks: Sequence[Week], pruned_before: datetime) -> bool:
    created_at = identity.created_at(task_id)
    return created_at >= pruned_before and Week.of(created_at) in weeks


def unnumbered(batches: int, waited_s: float) -> Finding:
    """Report change batches that wait for their position."""
    return Finding(
        check=Check.CHANGES_UNNUMBERED,
        expected="a position within seconds",
        found=f"{batches} batches without, the first for {waited_s:.0f} s",
    )


def overdue(bucket: OverdueBucket) -> Finding:
    """Report a bucket whose first task is not claimed."""
    return Finding(
        check=Check.TASK_OVERDUE,
        task_id=bucket.task_id,
        subject=f"queue {bucket.queue}, type {bucket.type}, priority {bucket.priority}",
        expected="claimed within seconds",
        found=f"due for {bucket.waited_s:.0f} s",
    )
