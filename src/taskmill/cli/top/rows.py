"""What the tables show: queues, workers and failures, those that matter most first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from taskmill.cli.top.rates import Rates
from taskmill.cli.top.reading import Failure, Snapshot
from taskmill.client.views.activity import DurationsView
from taskmill.client.views.queues import QueueView
from taskmill.client.views.system import WorkerView
from taskmill.client.views.waiting import WaitingView
from taskmill.domain.attention import NoticeKind
from taskmill.domain.attention_rules import is_late
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.system import EXPIRED, Liveness, WorkerRequest

CREATED = (EventType.CREATED, EventType.RUN_AGAIN)
ENDED = (EventType.SUCCEEDED, EventType.FAILED, EventType.EXPIRED, EventType.CANCELLED)
FAILED = (EventType.FAILED, EventType.EXPIRED)


class Pane(StrEnum):
    """A table."""

    QUEUES = "queues"
    WORKERS = "workers"
    FAILURES = "failures"


class QueueTrouble(StrEnum):
    """Why a queue needs attention, the worst first."""

    UNSERVED = "no worker"
    PAUSED = "paused"
    LATE = "late"


class WorkerTrouble(StrEnum):
    """Why a worker needs attention, the worst first."""

    SILENT = "silent"
    STOPPING = "stopping"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A queue: rates per second, times in seconds, and what new tasks wait for, None if unknown."""

    name: str
    is_paused: bool
    trouble: QueueTrouble | None
    waiting: int
    counts: WaitingView | None
    running: int
    created: float
    ended: float
    failed: float
    waits: DurationsView | None
    oldest_s: float | None

    @property
    def key(self) -> str:
        """What identifies it."""
        return self.name

    @property
    def text(self) -> str:
        """What a filter searches."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """A worker process, or all that pull over HTTP under one name."""

    key: str
    name: str
    trouble: WorkerTrouble | None
    has_ended: bool
    is_lost: bool
    is_remote: bool
    slots: int
    running: int
    queues: Sequence[str]
    types: Sequence[str]
    started_s: float
    seen_s: float
    views: Sequence[WorkerView]

    @property
    def text(self) -> str:
        """What a filter searches."""
        return " ".join((self.name, *self.queues, *self.types))


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
    """The failures of one kind that are known, newest first: those of the newest tasks."""

    kind: str
    failures: Sequence[Failure]

    @property
    def key(self) -> str:
        """What identifies it."""
        return self.kind

    @property
    def newest(self) -> Failure:
        """The one that stands for all."""
        return self.failures[0]

    @property
    def text(self) -> str:
        """What a filter searches."""
        return "\n".join(one.text for one in self.failures)


Row: TypeAlias = QueueRow | WorkerRow | FailureRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All rows of all tables."""

    queues: Sequence[QueueRow]
    workers: Sequence[WorkerRow]
    failures: Sequence[FailureRow]

    def rows(self, pane: Pane, wanted: str = "") -> Sequence[Row]:
        """Return the rows of a table that have the wanted text in them."""
        tables: Mapping[Pane, Sequence[Row]] = {
            Pane.QUEUES: self.queues,
            Pane.WORKERS: self.workers,
            Pane.FAILURES: self.failures,
        }
        rows, wanted = tables[pane], wanted.casefold()
        return [row for row in rows if wanted in row.text.casefold()] if wanted else rows

    def current(self, row: Row) -> Row:
        """Return what has become of a row; one that has gone stays as it was."""
        every: list[Row] = [*self.queues, *self.workers, *self.failures]
        return next((one for one in every if one.key == row.key and type(one) is type(row)), row)


def board(snapshot: Snapshot, rates: Rates) -> Board:
    """Make the rows of a snapshot."""
    return Board(
        queues=sorted(_queues(snapshot, rates), key=_queue_order),
        workers=sorted(_workers(snapshot), key=_worker_order),
        failures=failure_rows(snapshot.failures),
    )


def failure_rows(failures: Iterable[Failure]) -> list[FailureRow]:
    """Return a row for each kind, that of the newest failure first; the failures are newest first."""
    kinds: dict[str, list[Failure]] = {}
    for one in failures:
        kinds.setdefault(one.kind, []).append(one)
    return [FailureRow(kind=kind, failures=found) for kind, found in kinds.items()]


def _queues(snapshot: Snapshot, rates: Rates) -> Iterable[QueueRow]:
    waits = {one.queue: one.waiting for one in snapshot.activity.queues}
    for queue in snapshot.queues:
        due_at = queue.oldest_due_at
        oldest_s = None if due_at is None else snapshot.seconds_since(due_at)
        yield QueueRow(
            name=queue.name,
            is_paused=queue.paused,
            trouble=_queue_trouble(snapshot, queue),
            waiting=queue.counts[Status.NEW],
            counts=queue.waiting,
            running=queue.counts[Status.IN_PROGRESS],
            created=rates.of(queue.name, *CREATED),
            ended=rates.of(queue.name, *ENDED),
            failed=rates.of(queue.name, *FAILED),
            waits=waits.get(queue.name),
            oldest_s=oldest_s,
        )


def _queue_trouble(snapshot: Snapshot, queue: QueueView) -> QueueTrouble | None:
    """Return what the service's notices say of a queue. Not each late one has its own: these are few of a kind."""
    if queue.paused and queue.counts[Status.NEW]:
        return QueueTrouble.PAUSED
    if queue.oldest_due_at is None:
        return None
    # The last one of a kind may stand for others: it is about no queue.
    found = {(one.kind, one.queue) for one in snapshot.attention.items}
    if found & {(NoticeKind.UNSERVED, queue.name), (NoticeKind.NO_WORKERS, None)}:
        return QueueTrouble.UNSERVED
    return QueueTrouble.LATE if is_late(queue.oldest_due_at, snapshot.at) else None


def _queue_order(row: QueueRow) -> tuple[object, ...]:
    troubles = [*QueueTrouble, None]
    return (troubles.index(row.trouble), -row.waiting, -row.running, -row.ended, row.name)


def _workers(snapshot: Snapshot) -> Iterable[WorkerRow]:
    """Yield a row for each process, and one for each name that pulls over HTTP with a lease for each claim."""
    groups: dict[str, list[WorkerView]] = {}
    for one in snapshot.workers:
        groups.setdefault(f"over HTTP: {one.name}" if one.remote else str(one.id), []).append(one)
    for key, views in groups.items():
        yield _worker(key, views, snapshot)


def _worker(key: str, views: Sequence[WorkerView], snapshot: Snapshot) -> WorkerRow:
    def seconds(moment: datetime) -> float:
        return snapshot.seconds_since(moment)

    return WorkerRow(
        key=key,
        name=views[0].name,
        trouble=_worker_trouble(views),
        has_ended=all(one.state == Liveness.CLOSED for one in views),
        is_lost=all(one.close_reason == EXPIRED for one in views),
        is_remote=views[0].remote,
        slots=sum(one.slots for one in views),
        running=sum(one.running for one in views),
        queues=sorted({name for one in views for name in one.queues}),
        types=sorted({name for one in views for name in one.types}),
        started_s=max(seconds(one.started_at) for one in views),
        seen_s=min(seconds(one.renewed_at) for one in views),
        views=views,
    )


def _worker_trouble(views: Sequence[WorkerView]) -> WorkerTrouble | None:
    open_ones = [one for one in views if one.state != Liveness.CLOSED]
    if any(one.state == Liveness.EXPIRED for one in open_ones):
        return WorkerTrouble.SILENT
    requests = {one.request for one in open_ones}
    if WorkerRequest.STOP in requests:
        return WorkerTrouble.STOPPING
    return WorkerTrouble.QUIET if WorkerRequest.QUIET in requests else None


def _worker_order(row: WorkerRow) -> tuple[object, ...]:
    troubles = [*WorkerTrouble, None]
    return (row.has_ended, troubles.index(row.trouble), -row.running, row.name, row.key)
