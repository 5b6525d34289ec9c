"""Details of one queue, worker or failure, and the help: any number of lines, to scroll through."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from rich.text import Text

from taskmill.cli import show
from taskmill.cli.show import Cell
from taskmill.cli.top.drawing import (
    Column,
    age,
    cell,
    count,
    fitted,
    per_second,
    row,
    seconds,
    spark,
)
from taskmill.cli.top.reading import Snapshot
from taskmill.cli.top.rows import CREATED, ENDED, FAILED, FailureRow, QueueRow, Row, WorkerRow
from taskmill.cli.top.summary import series, times
from taskmill.cli.top.tables import queue_state, worker_state
from taskmill.cli.waiting import counts_of
from taskmill.client.views.activity import ActivityView
from taskmill.client.views.system import WorkerView
from taskmill.domain.error_kinds import kind_id
from taskmill.domain.lifecycle import EventType
from taskmill.domain.system import Liveness
from taskmill.domain.waiting import WaitingState

_LABEL = 10
_FAILURES_SHOWN = 10
_TYPES = (
    Column(heading="TYPE", width=16, most=40),
    Column(heading="NEW/S", width=6, is_number=True),
    Column(heading="ENDED/S", width=7, is_number=True),
    Column(heading="FAILED", width=7, is_number=True),
    Column(heading="RETRIED", width=7, is_number=True, rank=1),
    Column(heading="WAIT P95", width=8, is_number=True),
    Column(heading="RUN P95", width=8, is_number=True),
)
_HELP = (
    ("q, Ctrl-C", "quit"),
    ("Tab, ← →", "the next table, the one before"),
    ("↑ ↓, j k", "choose a row; PgUp, PgDn, Home, End go further"),
    ("Enter", "details of the chosen queue, worker or failures; Esc goes back"),
    ("P", "pause the chosen queue, or resume it; asks first"),
    ("p", "freeze the picture, or go on"),
    ("z", "only the chosen table, or all"),
    ("/", "only rows with some text in them; Esc ends that"),
    ("w", "look back 5m, 15m, 1h or 6h"),
    ("r", "refresh now"),
)
_MEANINGS = (
    "Rates are of the last ten seconds. Bars are a minute each, 10 minutes when looking back 6h.",
    "Waiting is from when a task was due to its claim, running from there to the end of the attempt.",
    "Queues that need attention come first, then those in which most tasks wait.",
)


def details(opened: Row, snapshot: Snapshot, width: int) -> list[Text]:
    """Return the details of the opened row."""
    match opened:
        case QueueRow():
            return list(_queue(opened, snapshot, width))
        case WorkerRow():
            return list(_worker(opened, snapshot, width))
        case FailureRow():
            return list(_failure(opened, snapshot, width))
        case _:
            assert_never(opened)


def help_lines(width: int) -> list[Text]:
    """Explain the keys."""
    keys = [Text.assemble(cell(show.strong(names), 12), text) for names, text in _HELP]
    meanings = [line for text in _MEANINGS for line in _wrapped(text, width)]
    heading = Text.assemble(show.strong("Keys"), show.dim("        any key: back  q: quit"))
    return [heading, *keys, Text(), show.strong("What is shown"), *meanings]


def _queue(one: QueueRow, snapshot: Snapshot, width: int) -> Iterator[Text]:
    yield Text.assemble(show.strong(f"queue {one.name}"), "  ", queue_state(one))
    yield Text()
    yield _labelled("waiting", count(one.waiting), *_oldest(one))
    if one.counts is not None:
        for state in WaitingState:
            yield _labelled(f"{state}", str(counts_of(one.counts).of(state)))
    yield _labelled("running", count(one.running))
    yield _labelled("serve it", ", ".join(_servers(one, snapshot)) or "no worker")
    for notice in snapshot.attention.items:
        if notice.queue == one.name:
            yield from _wrapped(f"{notice.sentence} {notice.action}", width)
    activity = snapshot.of_queue
    if activity is not None and activity.queue == one.name:
        yield Text()
        yield from _activity(activity, one, width)
    yield from _failures_of(one, snapshot, width)
    yield Text()
    verb = "resume" if one.is_paused else "pause"
    yield show.dim(f"P: {verb} it    taskmill task list --queue {one.name}")


def _oldest(one: QueueRow) -> tuple[Cell, ...]:
    return () if one.oldest_s is None else ("  the oldest one for ", age(one.oldest_s))


def _servers(one: QueueRow, snapshot: Snapshot) -> list[str]:
    alive = (worker for worker in snapshot.workers if worker.state == Liveness.ALIVE)
    found = dict.fromkeys(w.name for w in alive if not w.queues or one.name in w.queues)
    names = list(found)
    return names if len(names) <= 5 else [*names[:5], f"{len(names) - 5} more"]  # noqa: PLR2004 - a line's worth


def _activity(activity: ActivityView, one: QueueRow, width: int) -> Iterator[Text]:
    rates = (
        ("created", CREATED, one.created),
        ("ended", ENDED, one.ended),
        ("failed", FAILED, one.failed),
    )
    for label, event_types, now in rates:
        bars = spark(series(activity, event_types), width - 22)
        yield _labelled(label, cell(Text.assemble(per_second(now), show.dim("/s")), 10), bars)
    yield _labelled("waited", times(activity.total.waiting))
    yield _labelled("ran", times(activity.total.running))
    yield Text()
    widths = fitted(_TYPES, width)
    headings = [show.dim(column.heading) for column in _TYPES]
    yield row(_TYPES, widths, headings)
    for queue in activity.queues:
        for type_ in queue.types:
            counts, rate = type_.counts, type_.per_second
            cells: list[Cell] = [
                type_.type,
                per_second(sum(rate[event_type] for event_type in CREATED)),
                per_second(sum(rate[event_type] for event_type in ENDED)),
                count(sum(counts[event_type] for event_type in FAILED)),
                count(counts[EventType.RETRY_SCHEDULED]),
                seconds(type_.waiting.p95_s),
                seconds(type_.running.p95_s),
            ]
            yield row(_TYPES, widths, cells)


def _failures_of(one: QueueRow, snapshot: Snapshot, width: int) -> Iterator[Text]:
    found = [failure for failure in snapshot.failures if failure.queue == one.name]
    if found:
        yield Text()
        yield show.strong("newest failures")
    for failure in found[:_FAILURES_SHOWN]:
        ago = age(snapshot.seconds_since(failure.at))
        yield cell(f"{ago:>8}  {failure.name}  {failure.kind}", width)


def _worker(one: WorkerRow, snapshot: Snapshot, width: int) -> Iterator[Text]:
    yield Text.assemble(show.strong(f"worker {one.name}"), "  ", worker_state(one))
    yield Text()
    yield _labelled("slots", f"{one.running:,} of {one.slots:,} in use")
    yield _labelled("seen", age(one.seen_s), " ago")
    yield _labelled("up", age(one.started_s))
    yield from _listed("queues", one.queues or ["all"], width)
    yield from _listed("types", one.types, width)
    yield Text()
    yield show.strong("leases")
    for view in one.views[:_FAILURES_SHOWN]:
        yield cell(_lease(view, snapshot), width)
    if len(one.views) > _FAILURES_SHOWN:
        yield show.dim(f"and {len(one.views) - _FAILURES_SHOWN:,} more")
    if not one.has_ended and not one.is_remote:
        yield Text()
        yield show.dim(f"taskmill worker quiet {one.views[0].id}    (or stop, resume)")


def _lease(view: WorkerView, snapshot: Snapshot) -> str:
    seen = age(snapshot.seconds_since(view.renewed_at))
    ended = f"  {view.close_reason}" if view.close_reason else ""
    return f"{view.id}  {view.state}  {view.running:,} of {view.slots:,}  seen {seen} ago{ended}"


def _failure(kind: FailureRow, snapshot: Snapshot, width: int) -> Iterator[Text]:
    one = kind.newest
    yield Text.assemble(show.strong("failed "), show.printable(one.name))
    yield Text()
    yield _labelled("task", one.task_id)
    yield _labelled("ago", age(snapshot.seconds_since(one.at)))
    yield _labelled("queue", one.queue)
    yield _labelled("type", one.type)
    yield _labelled("attempt", str(one.attempt))
    if one.worker:
        yield _labelled("worker", one.worker)
    yield _labelled("error", show.failure(one.error_type))
    yield _labelled("kind", show.failure(kind.kind))
    yield Text()
    for line in one.message.splitlines():
        yield from _wrapped(line, width)
    if len(kind.failures) > 1:
        yield Text()
        yield show.strong(f"{len(kind.failures):,} of this kind among the newest failures")
    for other in kind.failures[1 : 1 + _FAILURES_SHOWN]:
        ago = age(snapshot.seconds_since(other.at))
        yield cell(f"{ago:>8}  {other.queue}  {other.type}  {other.name}", width)
    yield Text()
    yield show.dim(f"taskmill task show {one.task_id}")
    yield show.dim(f"taskmill failure show {kind_id(kind.kind)}")


def _listed(label: str, names: Sequence[str], width: int) -> Iterator[Text]:
    lines = _wrapped(", ".join(names), width - _LABEL)
    for number, line in enumerate(lines):
        yield _labelled(label if number == 0 else "", line)


def _wrapped(text: str, width: int) -> list[Text]:
    """Break a text into lines, between words if possible."""
    from rich.console import Console  # noqa: PLC0415 - only what is long needs one

    shown = Text(show.printable(text))
    return list(shown.wrap(Console(width=width), max(width, 1))) or [Text()]


def _labelled(label: str, *parts: Cell) -> Text:
    texts = [part if isinstance(part, Text) else Text(show.printable(part)) for part in parts]
    return Text.assemble(cell(show.dim(label), _LABEL), *texts)
