"""The rows that the service would have written of tasks with a past. It writes nothing.

How an attempt ends is decided as in the service, by `domain.lifecycle.decide`. A task's id has the time of its
creation to the millisecond.
"""

import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from taskmill.domain import identity
from taskmill.domain.error_kinds import kind_of
from taskmill.domain.lifecycle import AttemptFacts, EventType, Reason, Status, Transition, decide
from taskmill.storage.weeks import Week
from tools.scene.courses import JITTER, MAX_ATTEMPTS, RETRY, Course, Step
from tools.scene.plan import error_json, payload_of

Row = tuple[object, ...]

COLUMNS: Final[Mapping[str, str]] = {
    "task": "id name type payload queue priority final_status attempt max_attempts max_losses cancel_requested"
    " run_at created_at started_at finished_at updated_at result error labels source version claim_no",
    "task_event": "task_id version at event status run attempt losses claim_no run_at lease_id worker reason error"
    " claimed_at claimed_run_at",
    "change_batch": "at task_ids versions",
    "task_count": "queue status tasks week",
    "task_minute_delta": "at queue type event bucket tasks seconds",
    "failure_delta": "at queue type error task_id",
    "dispatch": "task_id queue type priority run_at",
}
"""The tables in the order in which they are filled: what is in `dispatch` may be claimed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_LOSSES = 3
_PRIORITY = 4
_SOURCE = "rest"
_WORKER = "worker-0"
_LEASE = UUID(int=0x7 << 76 | 0x2 << 62)
_REGIONS = ("eu", "us", "ru", "ae", "il")
_CHANGES_IN_BATCH = 1_000
# Charts of an hour have a point a minute, those of a day fewer.
_MINUTE, _MINUTES = timedelta(minutes=1), timedelta(minutes=10)
_BY_MINUTE = timedelta(hours=2)


@dataclass(slots=True, kw_only=True)
class Life:
    """A task while its course is followed: what changes of its row."""

    id: UUID
    course: Course
    run_at: datetime
    at: datetime
    status: Status = Status.NEW
    version: int = 0
    attempt: int = 0
    claim_no: int = 0
    started_at: datetime | None = None
    error: str | None = None
    result: str | None = None


class Past:
    """Rows by table, of the tasks that were added."""

    def __init__(self, now: datetime, draw: random.Random) -> None:
        self._now, self._draw = now, draw
        self._rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}
        self._changes: list[tuple[datetime, UUID, int]] = []
        self._counts: Counter[tuple[str, str, date]] = Counter()
        self._flow: dict[tuple[datetime, str, str, str, int | None], tuple[int, float]] = {}

    def add(self, course: Course) -> None:
        """Add a task. Its number comes after those of the tasks that were added before."""
        task_id = self._id(course.created_at)
        created_at = identity.created_at(task_id)
        life = Life(id=task_id, course=course, run_at=created_at, at=created_at)
        self._record(life, EventType.CREATED)
        for step in course.steps:
            self._attempt(life, step)
        if course.cancelled_after is not None:
            self._cancel(life, course.cancelled_after)
        self._finish(life, created_at)

    def rows(self) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
        """Return tables with their columns and rows, in the order in which they are filled."""
        self._rows["change_batch"] = list(_batches(self._changes))
        self._rows["task_count"] = [(*key[:2], n, key[2]) for key, n in self._counts.items()]
        self._rows["task_minute_delta"] = [
            (*key, *_delta(key[-1], *amounts)) for key, amounts in self._flow.items()
        ]
        for table, columns in COLUMNS.items():
            yield table, columns.split(), self._rows[table]

    def _id(self, moment: datetime) -> UUID:
        milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
        number = len(self._rows["task"]) % 4096
        bits = self._draw.getrandbits(62)
        return UUID(int=milliseconds << 80 | 0x7 << 76 | number << 64 | 0x2 << 62 | bits)

    def _attempt(self, life: Life, step: Step) -> None:
        claimed_at = max(life.at, life.run_at) + step.waits
        life.claim_no += 1
        life.attempt += 1
        life.version += 1
        life.started_at, life.at = claimed_at, claimed_at + step.runs
        self._changes.append((claimed_at, life.id, life.version))
        self._count(life, EventType.CLAIMED, claimed_at, step.waits)
        self._end(life, decide(step.outcome, _facts(life), cancel_requested=False, jitter=JITTER))

    def _end(self, life: Life, transition: Transition) -> None:
        due_at = life.run_at
        if transition.status is Status.NEW:
            life.run_at = life.at + transition.delay
        life.status, life.result = transition.status, transition.result
        error = None if transition.error is None else error_json(transition.error)
        life.error = error
        self._record(
            life,
            transition.event_type,
            reason=transition.reason,
            error=error,
            claimed_run_at=due_at if due_at != life.run_at else None,
        )
        if transition.status is Status.FAILED and transition.error is not None:
            work = life.course.work
            kind = kind_of(transition.error)
            self._rows["failure_delta"].append((life.at, work.queue, work.type, kind, life.id))

    def _cancel(self, life: Life, after: timedelta) -> None:
        life.at, life.status = life.at + after, Status.CANCELLED
        self._record(life, EventType.CANCELLED, reason=Reason.CANCELLED)

    def _record(
        self,
        life: Life,
        event: EventType,
        *,
        reason: Reason | None = None,
        error: str | None = None,
        claimed_run_at: datetime | None = None,
    ) -> None:
        """Record a change that is no claim; a claim's facts are in the row of the change after it."""
        is_attempt = event not in {EventType.CREATED, EventType.CANCELLED}
        life.version += 1
        self._changes.append((life.at, life.id, life.version))
        self._rows["task_event"].append(
            (
                *(life.id, life.version, life.at, event, life.status, 1, life.attempt, 0),
                *(life.claim_no, life.run_at),
                *((_LEASE, _WORKER) if is_attempt else (None, None)),
                *(reason, error, life.started_at if is_attempt else None, claimed_run_at),
            )
        )
        ran = life.at - life.started_at if is_attempt and life.started_at else None
        self._count(life, event, life.at, ran)

    def _count(self, life: Life, event: str, at: datetime, lasted: timedelta | None) -> None:
        """Count an event in its minute, or in ten of them where nobody sees the difference."""
        length = _MINUTE if self._now - at < _BY_MINUTE else _MINUTES
        begin = at - (at - _EPOCH) % length
        work = life.course.work
        seconds = 0.0 if lasted is None else lasted.total_seconds()
        key = begin, work.queue, work.type, event, None if lasted is None else _bucket(seconds)
        tasks, sum_s = self._flow.get(key, (0, 0.0))
        self._flow[key] = tasks + 1, sum_s + seconds

    def _finish(self, life: Life, created_at: datetime) -> None:
        work, number = life.course.work, life.course.number
        is_over = life.status is not Status.NEW
        week = Week.of(created_at).monday
        self._counts[work.queue, str(life.status), week] += 1
        self._rows["task"].append(
            (
                life.id,
                self._draw.choice(work.names).format(number),
                work.type,
                json.dumps(payload_of(work.type, number)),
                work.queue,
                _PRIORITY,
                life.status if is_over else None,
                *(life.attempt, MAX_ATTEMPTS, _MAX_LOSSES, life.status is Status.CANCELLED),
                *(life.run_at, created_at, life.started_at, life.at if is_over else None, life.at),
                *(life.result, life.error, self._labels(number), _SOURCE),
                *(life.version, life.claim_no),
            )
        )
        if not is_over:
            waiting = (life.id, work.queue, work.type, _PRIORITY, life.run_at)
            self._rows["dispatch"].append(waiting)

    def _labels(self, number: int) -> str:
        return json.dumps({"customer": str(number), "region": self._draw.choice(_REGIONS)})


def _facts(life: Life) -> AttemptFacts:
    return AttemptFacts(
        attempt=life.attempt,
        max_attempts=MAX_ATTEMPTS,
        losses=0,
        max_losses=_MAX_LOSSES,
        retry=RETRY,
    )


def _bucket(seconds: float) -> int:
    """Return a duration's place on the scale, as `taskmill.duration_bucket` does."""
    return min(math.ceil(5 * math.log(max(seconds, 0.001) * 1000)), 110)


def _delta(bucket: int | None, tasks: int, seconds: float) -> tuple[int, float | None]:
    return tasks, None if bucket is None else seconds


def _batches(changes: Iterable[tuple[datetime, UUID, int]]) -> Iterator[Row]:
    """Return changes in the order of their times, many in a batch, which has the time of its last one."""
    ordered = sorted(changes)
    for first in range(0, len(ordered), _CHANGES_IN_BATCH):
        part = ordered[first : first + _CHANGES_IN_BATCH]
        yield part[-1][0], [task_id for _, task_id, _ in part], [version for *_, version in part]
