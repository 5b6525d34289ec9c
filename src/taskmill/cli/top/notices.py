"""What needs attention: one sentence for each kind of trouble, the worst first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from taskmill.cli.top.drawing import age
from taskmill.cli.top.reading import Snapshot
from taskmill.cli.top.rows import (
    FAILED,
    Board,
    QueueRow,
    QueueTrouble,
    WorkerRow,
    WorkerTrouble,
)
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.system import BrokerPresence

T = TypeVar("T", QueueRow, WorkerRow)

_NAMED = 3
_FAILING_SHARE = 0.2
_FEWEST_FAILURES = 10
_FULL_SHARE = 0.9


class Level(StrEnum):
    """How bad it is: something does not work, or soon may not."""

    TROUBLE = "trouble"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A sentence for operators."""

    level: Level
    text: str


def notices(snapshot: Snapshot, board: Board) -> list[Notice]:
    """Return what needs attention."""
    troubles = (_broker, _nobody_works, _unserved, _silent)
    warnings = (_paused, _late, _full, _failing, _stopping)
    return [
        Notice(level=level, text=text)
        for level, kinds in ((Level.TROUBLE, troubles), (Level.WARNING, warnings))
        for kind in kinds
        for text in kind(snapshot, board)
    ]


def _broker(snapshot: Snapshot, _: Board) -> Iterator[str]:
    broker = snapshot.stats.broker
    if broker.state is BrokerPresence.AWAY:
        meanwhile = "workers wait" if broker.policy == "rabbitmq" else "PostgreSQL stands in"
        why = f": {broker.trouble}" if broker.trouble else ""
        yield f"the broker is away, {meanwhile}{why}"


def _nobody_works(snapshot: Snapshot, _: Board) -> Iterator[str]:
    waiting = snapshot.stats.by_status[Status.NEW]
    if waiting and not snapshot.stats.workers_alive:
        yield f"no live worker, and {_tasks(waiting)}"


def _unserved(snapshot: Snapshot, board: Board) -> Iterator[str]:
    found = _in_trouble(board, QueueTrouble.UNSERVED)
    if found and snapshot.stats.workers_alive:
        yield f"no worker serves {_queues(found)}"


def _silent(_: Snapshot, board: Board) -> Iterator[str]:
    found = [one for one in board.workers if one.trouble is WorkerTrouble.SILENT]
    if found:
        yield f"silent: {_names(found, lambda one: f'{one.name} for {age(one.seen_s)}')}"


def _paused(_: Snapshot, board: Board) -> Iterator[str]:
    found = _in_trouble(board, QueueTrouble.PAUSED)
    if found:
        yield f"paused with tasks waiting: {_queues(found)}"


def _late(_: Snapshot, board: Board) -> Iterator[str]:
    found = sorted(_in_trouble(board, QueueTrouble.LATE), key=lambda one: -(one.oldest_s or 0))
    if found:
        yield f"waiting long: {_names(found, lambda one: f'{one.name} {age(one.oldest_s or 0)}')}"


def _full(snapshot: Snapshot, board: Board) -> Iterator[str]:
    stats = snapshot.stats
    is_due = any(one.oldest_s is not None and not one.is_paused for one in board.queues)
    if stats.slots and stats.running >= _FULL_SHARE * stats.slots and is_due:
        yield f"{stats.running:,} of {stats.slots:,} slots are taken while tasks wait"


def _failing(snapshot: Snapshot, _: Board) -> Iterator[str]:
    counts = snapshot.activity.total.counts
    failed = sum(counts[event_type] for event_type in FAILED)
    ended = failed + counts[EventType.SUCCEEDED]
    if failed >= _FEWEST_FAILURES and failed >= _FAILING_SHARE * ended:
        yield f"{failed / ended:.0%} of what ended in the last {snapshot.activity.window} failed"


def _stopping(_: Snapshot, board: Board) -> Iterator[str]:
    requested = (WorkerTrouble.STOPPING, WorkerTrouble.QUIET)
    found = [one for one in board.workers if one.trouble in requested]
    if found:
        yield f"take no more tasks: {_names(found, lambda one: f'{one.name} ({one.trouble})')}"


def _in_trouble(board: Board, trouble: QueueTrouble) -> list[QueueRow]:
    return [one for one in board.queues if one.trouble is trouble]


def _queues(found: Sequence[QueueRow]) -> str:
    return _names(found, lambda one: f"{one.name} ({one.waiting:,})")


def _names(found: Sequence[T], describe: Callable[[T], str]) -> str:
    text = ", ".join(map(describe, found[:_NAMED]))
    more = len(found) - _NAMED
    return f"{text} and {more:,} more" if more > 0 else text


def _tasks(count: int) -> str:
    return f"{count:,} tasks wait" if count != 1 else "1 task waits"
