"""What `verify` may find in a database: each check by its stable name, what it means, and what to do about it.

The checks themselves are in `domain/replay.py` and `domain/row_checks.py` (one task), `operations/verify.py` and
`operations/verify_schedules.py`.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Check(StrEnum):
    """All checks. Programs may rely on these names."""

    VERSION_GAP = "version_gap"
    UNKNOWN_ENTRY = "unknown_entry"
    FORBIDDEN_TRANSITION = "forbidden_transition"
    AFTER_THE_END = "after_the_end"
    RUN_MISCOUNTED = "run_miscounted"
    ATTEMPTS_MISCOUNTED = "attempts_miscounted"
    LOSSES_MISCOUNTED = "losses_miscounted"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    TOO_MANY_LOSSES = "too_many_losses"
    CLAIM_GAP = "claim_gap"
    CLAIMS_OVERLAP = "claims_overlap"
    FENCE_MISMATCH = "fence_mismatch"
    UNCLAIMED_SUCCESS = "unclaimed_success"
    CLAIMED_TOO_EARLY = "claimed_too_early"
    DUE_TIME_CHANGED = "due_time_changed"
    CANCEL_IGNORED = "cancel_ignored"
    ROW_DRIFT = "row_drift"
    FINISH_TIME = "finish_time"
    HISTORY_WITHOUT_TASK = "history_without_task"
    DISPATCH_MISSING = "dispatch_missing"
    DISPATCH_SURPLUS = "dispatch_surplus"
    DISPATCH_DRIFT = "dispatch_drift"
    RUNNING_SURPLUS = "running_surplus"
    RUNNING_DRIFT = "running_drift"
    LEASE_MISSING = "lease_missing"
    COUNTER_DRIFT = "counter_drift"
    KEY_WITHOUT_TASK = "key_without_task"
    KEY_SHARED = "key_shared"
    RESEND_INCOMPLETE = "resend_incomplete"
    RESEND_WITHOUT_TASK = "resend_without_task"
    CHANGE_MISSING = "change_missing"
    CHANGE_UNKNOWN = "change_unknown"
    POSITION_GAP = "position_gap"
    SCHEDULE_TICK_TWICE = "schedule_tick_twice"
    SCHEDULE_TICK_MISSING = "schedule_tick_missing"
    SCHEDULE_CURSOR_BACK = "schedule_cursor_back"
    AFTER_MOMENT = "after_moment"
    CLOCK_SET_BACK = "clock_set_back"
    LEASE_OVER = "lease_over"
    TASK_OVERDUE = "task_overdue"
    CHANGES_UNNUMBERED = "changes_unnumbered"

    @property
    def is_warning(self) -> bool:
        """Whether it breaks no promise: it may be in order, and it may pass by itself."""
        return self in _WARNINGS


_WARNINGS = frozenset(
    {Check.CLOCK_SET_BACK, Check.LEASE_OVER, Check.TASK_OVERDUE, Check.CHANGES_UNNUMBERED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that contradicts what must be true.

    `version` is the entry of the task's history that it concerns, if any; `subject` names what else it concerns,
    such as a queue or a key.
    """

    check: Check
    expected: str
    found: str
    task_id: UUID | None = None
    version: int | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckMeaning:
    """What a finding of a check means, and what to do about it."""

    means: str
    advice: str


_HISTORY = (
    "Whoever wrote it went round the program's statements: look at the task's history, at what else writes to the "
    "database, and at backups that were restored in part."
)
_RETRY = (
    "Its numbers can't be trusted; when it has ended, run it again by hand if its work is in doubt."
)


def _meaning(means: str, advice: str = _HISTORY) -> CheckMeaning:
    return CheckMeaning(means=means, advice=advice)


CHECK_MEANINGS: dict[Check, CheckMeaning] = {
    Check.VERSION_GAP: _meaning(
        "A task's history does not have the versions 1 to n without gaps, n being the row's."
    ),
    Check.UNKNOWN_ENTRY: _meaning(
        "An entry of the history has an event or a status that this version of Taskmill does not know.",
        "Run `taskmill verify` of the version that the service runs.",
    ),
    Check.FORBIDDEN_TRANSITION: _meaning(
        "A task went from one status to another in a way that is not allowed."
    ),
    Check.AFTER_THE_END: _meaning(
        "Something other than a retry by hand follows the end of a run: it ended twice, or went on."
    ),
    Check.RUN_MISCOUNTED: _meaning(
        "The run of an entry is not that of the entry before, or one more after a retry by hand."
    ),
    Check.ATTEMPTS_MISCOUNTED: _meaning(
        "The attempts of an entry are not those before plus what it spends or gives back.",
        _RETRY,
    ),
    Check.LOSSES_MISCOUNTED: _meaning(
        "The losses of an entry are not those before plus what it adds.", _RETRY
    ),
    Check.TOO_MANY_ATTEMPTS: _meaning("A run spent more attempts than the task may have."),
    Check.TOO_MANY_LOSSES: _meaning("A run lost its worker more often than the task may."),
    Check.CLAIM_GAP: _meaning(
        "A task's claims are not numbered 1, 2, 3: a fence was skipped or given twice.",
        "Look at effects elsewhere that rely on the claim number: two workers may have had the same one.",
    ),
    Check.CLAIMS_OVERLAP: _meaning(
        "A task was claimed while another claim of it had not ended.",
        "It may have run twice at the same time: look at what its handler did elsewhere.",
    ),
    Check.FENCE_MISMATCH: _meaning(
        "An entry carries another lease or claim number than the claim that it belongs to.",
        "A worker that had lost the task may have written its result: compare it with what was done.",
    ),
    Check.UNCLAIMED_SUCCESS: _meaning(
        "A run succeeded in which nobody had claimed the task.",
        "Its work was not done: run it again by hand.",
    ),
    Check.CLAIMED_TOO_EARLY: _meaning("A task was claimed before it was due."),
    Check.DUE_TIME_CHANGED: _meaning(
        "An entry has another due time than the one before without having the right to set one, or sets one in "
        "its past."
    ),
    Check.CANCEL_IGNORED: _meaning(
        "A running task that was asked to cancel went back to waiting, or failed as lost.",
        "Cancel it once more if it still waits.",
    ),
    Check.ROW_DRIFT: _meaning(
        "The task's row is not what its history leads to.",
        "Answers and lists show the row; whatever changed it recorded nothing. Believe the history.",
    ),
    Check.FINISH_TIME: _meaning(
        "A task has a finishing time and has not ended, or the other way round, or another than its last entry."
    ),
    Check.HISTORY_WITHOUT_TASK: _meaning(
        "There is history of a task that is not there.",
        "The task is lost, or was deleted by hand: restore it from a backup, or create it again.",
    ),
    Check.DISPATCH_MISSING: _meaning(
        "A task has not ended, and is neither in `dispatch` nor in `running`: it will never start.",
        "A cancel is answered with 503. Insert the row, with the task's queue, type, priority, run_at and "
        "expires_at.",
    ),
    Check.DISPATCH_SURPLUS: _meaning(
        "`dispatch` has a task that does not wait, or is not there.",
        "A claim deletes such a row without running anything; delete it by hand if none comes.",
    ),
    Check.DISPATCH_DRIFT: _meaning(
        "`dispatch` has a waiting task with another queue, type, priority or time than its row.",
        "It is claimed by what `dispatch` says: correct the one that is wrong.",
    ),
    Check.RUNNING_SURPLUS: _meaning(
        "`running` has a task that has ended, or is not there.",
        "Whoever ends it deletes such a row, and leaves the task alone; delete it by hand if there is no task.",
    ),
    Check.RUNNING_DRIFT: _meaning(
        "A running task does not have the claim, the attempt or the version that comes after those of its row, or "
        "has another queue: a claim number may have moved back.",
        "Its end will be refused. Look at the task's history, and correct the one that is wrong.",
    ),
    Check.LEASE_MISSING: _meaning(
        "A task runs under a lease that is not there.",
        "Maintenance takes it back within seconds: run it, then verify again.",
    ),
    Check.COUNTER_DRIFT: _meaning(
        "The counters of a queue and status are not the number of its tasks.",
        "Totals of lists and `taskmill stats` are wrong by that much: insert the difference into `task_count`.",
    ),
    Check.KEY_WITHOUT_TASK: _meaning(
        "An idempotency key stands for a task that is not there.",
        "Requests with this key are refused with 422 until it runs out: delete the key, or restore the task.",
    ),
    Check.KEY_SHARED: _meaning("Several idempotency keys stand for the same task."),
    Check.RESEND_INCOMPLETE: _meaning(
        "A refused message was sent again without a task, or has a task without having been sent again."
    ),
    Check.RESEND_WITHOUT_TASK: _meaning(
        "A refused message became a task that is not there, though its week is kept.",
        "The task is lost, or was deleted by hand: restore it from a backup, or create it again.",
    ),
    Check.CHANGE_MISSING: _meaning(
        "A change is in a task's history and not in the feed of changes.",
        "Whoever follows the feed has missed it: let them read the task once.",
    ),
    Check.CHANGE_UNKNOWN: _meaning(
        "The feed names a change twice, or one that no history has though the task's week is kept.",
        "If the task is not there, it is lost, or was deleted by hand.",
    ),
    Check.POSITION_GAP: _meaning(
        "The feed's positions have a hole beyond what was forgotten of it.",
        "Batches were deleted: whoever follows the feed may have missed changes.",
    ),
    Check.SCHEDULE_TICK_TWICE: _meaning(
        "A tick of a schedule has several fires, or one although it lies in a stretch of skipped ones, or several "
        "fires name the same task.",
        "The table has lost its primary key, or rows were written by hand: look at the tasks with the label "
        "`schedule` for work that was done twice. With a stretch it is a backfill of 0.2.0: nothing was done "
        "twice.",
    ),
    Check.SCHEDULE_TICK_MISSING: _meaning(
        "Ticks that a schedule has come past have no fire, and lie in no stretch of skipped ones.",
        "Whether a task was made for them is unknown: look at those with the label `schedule`, then make the "
        "missing ones with `POST /schedules/{name}/backfill`.",
    ),
    Check.SCHEDULE_CURSOR_BACK: _meaning(
        "The cursor of a schedule is before the latest of its fires: it was moved back.",
        "No tick makes a second task, as its fire is there; set `cursor_at` to the tick of its latest fire.",
    ),
    Check.AFTER_MOMENT: _meaning(
        "A change is later than the moment that `--as-of` names.",
        "The restore went further, or the database has been used since: was `recovery_target_time` set, and do no "
        "processes run on it yet?",
    ),
    Check.CLOCK_SET_BACK: _meaning(
        "A claim ended before it began.",
        "The database's clock was set back, as by a change of its machine. Leases and due times go by it, too.",
    ),
    Check.LEASE_OVER: _meaning(
        "A task runs under a lease that ended minutes ago.",
        "Does `taskmill run maintenance` run? It takes such tasks back within seconds.",
    ),
    Check.TASK_OVERDUE: _meaning(
        "A task has been due for minutes though a live worker with free slots serves its queue and type.",
        "`taskmill worker list`, and the worker's log, show why it claims nothing; with RabbitMQ and the policy "
        "`rabbitmq`, whether the relay runs.",
    ),
    Check.CHANGES_UNNUMBERED: _meaning(
        "Changes have waited for their position in the feed for minutes.",
        "Does `taskmill run maintenance` run? Whoever follows the feed sees nothing new meanwhile.",
    ),
}
