"""The three tables as lines: a heading with the number of rows, and the rows around the chosen one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from rich.text import Text

from taskmill.cli import show
from taskmill.cli.show import Cell
from taskmill.cli.top.drawing import Column, age, bar, cell, count, fitted, per_second, row, seconds
from taskmill.cli.top.reading import Snapshot
from taskmill.cli.top.rows import (
    FailureRow,
    Pane,
    QueueRow,
    QueueTrouble,
    Row,
    WorkerRow,
    WorkerTrouble,
)
from taskmill.cli.waiting import counts_of
from taskmill.domain.waiting import WaitingState

_BAR = 10

# The first heading is the table's own: it has the range of the visible rows.
_QUEUES: Final = (
    Column(heading="QUEUES", width=16, most=63),
    Column(heading="STATE", width=9),
    Column(heading="WAITING", width=7, is_number=True),
    Column(heading="READY", width=7, is_number=True, rank=6),
    Column(heading="LATER", width=7, is_number=True, rank=8),
    Column(heading="HELD", width=7, is_number=True, rank=7),
    Column(heading="RUNNING", width=7, is_number=True),
    Column(heading="NEW/S", width=6, is_number=True, rank=4),
    Column(heading="ENDED/S", width=7, is_number=True, rank=1),
    Column(heading="FAILED/S", width=8, is_number=True, rank=2),
    Column(heading="WAIT P50", width=8, is_number=True, rank=5),
    Column(heading="P95", width=7, is_number=True, rank=3),
    Column(heading="OLDEST", width=7, is_number=True),
)
_WORKERS: Final = (
    Column(heading="WORKERS", width=16, most=40),
    Column(heading="STATE", width=9),
    Column(heading="SLOTS", width=_BAR, rank=4),
    Column(heading="RUNNING", width=13, is_number=True),
    Column(heading="SEEN", width=7, is_number=True, rank=1),
    Column(heading="UP", width=7, is_number=True, rank=3),
    Column(heading="SERVES", width=8, most=60, rank=2),
)
_FAILURES: Final = (
    Column(heading="FAILURES", width=44, most=400, share=6),
    Column(heading="TASKS", width=5, is_number=True),
    Column(heading="AGO", width=7, is_number=True),
    Column(heading="TYPE", width=12, most=32, rank=2),
    Column(heading="NEWEST", width=14, most=40, share=2, rank=1),
)
_NONE: Final = {
    Pane.QUEUES: "no queues yet: a queue is made by its first task",
    Pane.WORKERS: "no workers: start one with `taskmill run worker`",
    Pane.FAILURES: "no failures",
}

Cells: TypeAlias = tuple[Cell, ...]


class Table(NamedTuple):
    """The rows of a pane, the position of the chosen one, and whether the pane has the keys."""

    pane: Pane
    rows: Sequence[Row]
    position: int
    has_keys: bool
    is_filtered: bool = False


def table(snapshot: Snapshot, content: Table, width: int, height: int) -> list[Text]:
    """Return at most `height` lines: the heading, and the rows that fit."""
    columns, cells = _KINDS[content.pane]
    widths = fitted(columns, width)
    shown = max(height - 1, 0)
    first = _first(content, shown)
    seen = content.rows[first : first + shown]
    lines = [_heading(content, columns, widths, first, len(seen))]
    lines += [row(columns, widths, cells(one, snapshot)) for one in seen]
    if content.has_keys and seen:
        chosen = 1 + content.position - first
        lines[chosen] = Text(cell(lines[chosen], width).plain, style="reverse")
    if not content.rows and shown:
        none = "nothing fits the filter" if content.is_filtered else _NONE[content.pane]
        lines.append(cell(show.dim(none), width))
    return lines[:height]


def _first(content: Table, shown: int) -> int:
    """Return the number of the first visible row, so that the chosen one is visible."""
    return max(min(content.position - shown + 1, len(content.rows) - shown), 0)


def _heading(
    content: Table, columns: Sequence[Column], widths: Mapping[str, int], first: int, seen: int
) -> Text:
    total = len(content.rows)
    name = columns[0].heading
    if total > seen > 0:
        name += f" {first + 1}-{first + seen}"
    if total and content.pane is not Pane.FAILURES:  # only the newest are known
        name += f" of {total:,}" if total > seen > 0 else f" {total:,}"
    style = "bold reverse" if content.has_keys else "bold"
    texts: list[Cell] = [Text(name, style=style), *(show.dim(one.heading) for one in columns[1:])]
    return row(columns, dict(widths), texts)


def _queue(one: Row, _: Snapshot) -> Cells:
    assert isinstance(one, QueueRow)  # noqa: S101 - the pane's own
    p50_s, p95_s = (one.waits.p50_s, one.waits.p95_s) if one.waits else (None, None)
    failed = per_second(one.failed)
    return (
        one.name,
        queue_state(one),
        count(one.waiting),
        *(_waiting(one, *states) for states in _READY_LATER_HELD),
        count(one.running),
        per_second(one.created),
        per_second(one.ended),
        show.failure(failed) if isinstance(failed, str) else failed,
        seconds(p50_s),
        seconds(p95_s),
        show.dim("-") if one.oldest_s is None else age(one.oldest_s),
    )


_READY_LATER_HELD: Final = (
    (WaitingState.READY,),
    (WaitingState.SCHEDULED, WaitingState.RETRYING),
    (WaitingState.HELD,),
)


def _waiting(one: QueueRow, *states: WaitingState) -> Cell:
    """Show how many new tasks wait for one of these."""
    if one.counts is None:
        return show.dim("-")
    found = [counts_of(one.counts).of(state) for state in states]
    number = count(sum(part.tasks for part in found))
    return Text.assemble(number, "+") if any(part.are_more for part in found) else number


def queue_state(one: QueueRow) -> Text:
    """Return the state of a queue, in a word."""
    match one.trouble:
        case QueueTrouble.UNSERVED:
            return show.failure(one.trouble)
        case QueueTrouble.PAUSED | QueueTrouble.LATE:
            return show.warning(one.trouble)
        case _ if one.is_paused:
            return show.warning("paused")
        case _ if one.waiting or one.running or one.ended:
            return show.good("open")
        case _:
            return show.dim("idle")


def _worker(one: Row, _: Snapshot) -> Cells:
    assert isinstance(one, WorkerRow)  # noqa: S101 - the pane's own
    queues = ",".join(one.queues) or "all queues"
    cells = (
        one.name,
        worker_state(one),
        bar(one.running, one.slots, _BAR),
        f"{one.running:,} of {one.slots:,}",
        age(one.seen_s),
        age(one.started_s),
        f"{queues}: {','.join(one.types)}",
    )
    return tuple(_dimmed(value) for value in cells) if one.has_ended else cells


def worker_state(one: WorkerRow) -> Text:
    """Return the state of a worker, in a word."""
    if one.is_lost:
        return show.failure("lost")
    if one.has_ended:
        return show.dim("ended")
    match one.trouble:
        case None:
            return show.good("over HTTP" if one.is_remote else "alive")
        case WorkerTrouble.SILENT:
            return show.failure(one.trouble)
        case _:
            return show.warning(one.trouble)


def _failure(one: Row, snapshot: Snapshot) -> Cells:
    assert isinstance(one, FailureRow)  # noqa: S101 - the pane's own
    return (
        show.failure(one.kind),
        f"{len(one.failures):,}",
        age(snapshot.seconds_since(one.newest.at)),
        ",".join(dict.fromkeys(failure.type for failure in one.failures)),
        one.newest.name,
    )


def _dimmed(value: Cell) -> Cell:
    return show.dim(value.plain if isinstance(value, Text) else value)


_KINDS: Final[Mapping[Pane, tuple[Sequence[Column], Callable[[Row, Snapshot], Cells]]]] = {
    Pane.QUEUES: (_QUEUES, _queue),
    Pane.WORKERS: (_WORKERS, _worker),
    Pane.FAILURES: (_FAILURES, _failure),
}
