"""Metrics of tasks and leases: counted by the process that made the change, after its commit.

A change whose response was lost is counted when that is found out, or not at all: exact numbers are in `GET
/stats`.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, Protocol

from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.task import ClaimedTask
from taskmill.observability.catalogue import Section
from taskmill.observability.kinds import KINDS, QUEUES

# Seconds, from a few milliseconds to hours.
_DURATIONS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(300.0, 900.0, 3600.0, 14400.0),
)

_tasks = Section(
    "Tasks",
    reported_by="the process that did it: api and intake create, workers claim and finish, maintenance expires, "
    "api cancels; api also claims and finishes for workers that pull over HTTP",
    notes="""\
A task is created once, and claimed once for each attempt, so `taskmill_task_wait_seconds_count` equals
`taskmill_tasks_claimed_total`. An attempt ends in one of `taskmill_tasks_finished_total`,
`taskmill_retries_scheduled_total` and `taskmill_tasks_handed_back_total`, which together equal
`taskmill_task_run_seconds_count`; or it is lost.

Created and run again = finished + cancelled while they waited + expired + taken back and ended there
(`taskmill_tasks_rescued_total` with `failed` or `cancelled`) + what waits or runs now. Tasks that
`taskmill.create_task` creates in SQL are not counted here, as no process of Taskmill creates them;
`GET /stats?window=1h` and `taskmill_queue_tasks` include them.
""",
)
CREATED: Final = _tasks.tally(
    "tasks_created_total",
    "Tasks that were stored for the first time; replays are not counted",
    "queue",
    "type",
)
CLAIMED: Final = _tasks.tally(
    "tasks_claimed_total", "Claims: tasks that a worker took", "queue", "type"
)
FINISHED: Final = _tasks.tally(
    "tasks_finished_total",
    "Tasks that a worker ended, by their terminal status: `succeeded`, `failed` or `cancelled`",
    "queue",
    "type",
    "status",
)
RETRIES: Final = _tasks.tally(
    "retries_scheduled_total",
    "Attempts that failed with another one to come, after the back-off",
    "queue",
    "type",
)
HANDED_BACK: Final = _tasks.tally(
    "tasks_handed_back_total",
    "Attempts given back unspent: `worker_stopped`, `lease_unsure`, `no_handler`, `contract_unread` or "
    "`tick_unread`",
    "queue",
    "type",
    "reason",
)
WAITED: Final = _tasks.histogram(
    "task_wait_seconds",
    "From when a task was due until it was claimed",
    "queue",
    "type",
    bounds=_DURATIONS,
)
RAN: Final = _tasks.histogram(
    "task_run_seconds",
    "From a claim to the end of its handler, for attempts whose outcome was recorded",
    "queue",
    "type",
    bounds=_DURATIONS,
)
CANCELS: Final = _tasks.tally(
    "cancels_total",
    "Cancels: `done` is a waiting task that was cancelled, `requested` a running one that was asked to stop",
    "outcome",
    known=(("done",), ("requested",)),
)
RUN_AGAIN: Final = _tasks.tally(
    "tasks_run_again_total", "Finished tasks that an operator sent into a new run"
)
RESCHEDULED: Final = _tasks.tally(
    "tasks_rescheduled_total",
    "Waiting tasks to which an operator gave another due time, priority or queue",
)
EXPIRED: Final = _tasks.tally(
    "tasks_expired_total",
    "Tasks that failed because they still waited at their `expires_at`",
    "queue",
)

_leases = Section(
    "Leases and rescue",
    reported_by="worker, and api for workers that pull over HTTP; rescues and expired leases by maintenance",
    notes="""\
When a worker died, `taskmill_leases_expired_total` and `taskmill_tasks_rescued_total` grow. When one was
frozen or cut off and came back, `taskmill_leases_lost_total` does, and what its handlers returned too late is
counted by `taskmill_finishes_refused_total` or `taskmill_attempts_lost_total`. That is the fence at work, no
damage.
""",
)
LEASES_OPENED: Final = _leases.counter("leases_opened_total", "Leases that workers opened")
LEASES_RENEWED: Final = _leases.counter(
    "leases_renewed_total", "Renewals that PostgreSQL confirmed"
)
RENEWALS_FAILED: Final = _leases.counter(
    "lease_renewals_failed_total", "Renewals, or openings, that failed and were tried again"
)
LEASES_LOST: Final = _leases.counter(
    "leases_lost_total",
    "Renewals that found the lease closed: its tasks belong to others now",
)
LEASES_EXPIRED: Final = _leases.tally(
    "leases_expired_total", "Leases that had run out and were closed by rescue"
)
RESCUED: Final = _leases.tally(
    "tasks_rescued_total",
    "Tasks taken back from closed leases: `lost` waits again, `failed` has no loss left, `cancelled` was "
    "asked to stop",
    "outcome",
    known=(("lost",), ("failed",), ("cancelled",)),
)
REFUSED: Final = _leases.tally(
    "finishes_refused_total", "Results that the fence refused: the task has been claimed again"
)
ATTEMPTS_LOST: Final = _leases.tally(
    "attempts_lost_total",
    "Attempts that were stopped, and not recorded, because their lease was lost",
)
RECONCILED: Final = _leases.tally(
    "claims_reconciled_total",
    "Claims whose result was lost, so that they did not run and were handed back",
)


def count_created(kinds: Iterable[tuple[str, ...]]) -> None:
    """Count tasks that were stored, each by its queue and type."""
    # Not a collections.Counter: making one takes as long as ten tasks, and most batches are smaller.
    numbers: dict[tuple[str, ...], int] = {}
    for kind in kinds:
        numbers[kind] = numbers.get(kind, 0) + 1
    for kind, number in numbers.items():
        CREATED.add(number, KINDS[kind])


def count_claimed(taken: Iterable[tuple[ClaimedTask, float]]) -> None:
    """Count claims, each with the seconds that its task waited beyond its due time."""
    waits: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for task, waited_s in taken:
        waits[task.queue, task.type].append(waited_s)
    for kind, seconds in waits.items():
        CLAIMED.add(len(seconds), KINDS[kind])
        WAITED.observe_all(seconds, KINDS[kind])


class _OfKind(Protocol):
    @property
    def queue(self) -> str: ...

    @property
    def type(self) -> str: ...


def count_ended(
    task: _OfKind, status: Status, event_type: EventType, reason: str | None, ran_s: float
) -> None:
    """Count the end of an attempt that ran for `ran_s` seconds."""
    kind = KINDS[task.queue, task.type]
    RAN.observe(ran_s, kind)
    if status is not Status.NEW:
        FINISHED.add(1, (*kind, status))
    elif event_type is EventType.RETRY_SCHEDULED:
        RETRIES.add(1, kind)
    else:
        HANDED_BACK.add(1, (*kind, reason or ""))


def count_expired(queues: Iterable[str]) -> None:
    """Count tasks that were not started in time, each by its queue."""
    for queue in queues:
        EXPIRED.add(1, QUEUES[queue,])
