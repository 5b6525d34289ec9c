"""Renders one task and its history for people."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from taskmill.cli import show
from taskmill.cli.show import Cell
from taskmill.client.views.system import EventView
from taskmill.client.views.tasks import TaskView
from taskmill.domain.lifecycle import EventType
from taskmill.domain.task_fields import SHOWN, Kind

_LABEL_WIDTH = 11


def task_lines(task: TaskView) -> Iterator[tuple[Cell, ...]]:
    """Yield the lines of a task: what it is, its state, its result."""
    yield (show.strong(task.name), show.dim(f"#{task.number}"), str(task.id))
    yield _labelled("status", show.status(task.status), *_attempt_summary(task))
    if task.description:
        yield _labelled("description", task.description)
    yield _labelled("type", task.type, show.dim(f"queue {task.queue}, priority {task.priority}"))
    yield _labelled("created", *_moment(task.created_at), show.dim(f"by {task.source}"))
    for label, moment in (
        ("due", _due(task)),
        ("expires", task.expires_at),
        ("started", task.started_at),
    ):
        if moment:
            yield _labelled(label, *_moment(moment))
    if task.finished_at:
        yield _labelled("finished", *_moment(task.finished_at), *_ran(task))
    if task.progress:
        share, message = task.progress.share, task.progress.message
        shown = ("" if share is None else f"{share:.0%}", message or "")
        yield _labelled("progress", *filter(None, shown), *_moment(task.progress.at))
    yield from _options(task)
    yield from _contents(task)


def history_lines(events: Iterable[EventView]) -> Iterator[tuple[Cell, ...]]:
    """Yield a task's history, oldest first, under a heading."""
    yield ()
    yield (show.strong("History"),)
    yield from event_lines(events)


def event_lines(events: Iterable[EventView]) -> Iterator[tuple[Cell, ...]]:
    """Yield a line for each change, with the time since the one before."""
    before: datetime | None = None
    for event in events:
        yield event_line(event, before)
        before = event.at


def event_line(event: EventView, before: datetime | None) -> tuple[Cell, ...]:
    """Return the line of one change: when, how long after the one before, what, and the facts that matter."""
    since = f"+{show.duration(max((event.at - before).total_seconds(), 0))}" if before else ""
    return (
        show.dim(show.clock_time(event.at)),
        show.dim(f"{since:>8}"),
        show.status(event.status, f"{event.event:<16}"),
        show.fields(change_facts(event)),
    )


def change_facts(event: EventView) -> dict[str, object]:
    """Return the facts of a change that matter to people."""
    facts: dict[str, object] = {"reason": event.reason, "worker": event.worker}
    if event.event is EventType.CLAIMED:
        facts |= {"attempt": event.attempt, "claim": event.claim_no}
    if event.event is EventType.RETRY_SCHEDULED:
        facts["next_try"] = show.clock_time(event.run_at)
    if event.error:
        facts["error"] = f"{event.error.type}: {event.error.message}"
    return facts


def _labelled(label: str, *cells: Cell) -> tuple[Cell, ...]:
    return (show.dim(f"  {label:<{_LABEL_WIDTH}}"), *cells)


def _moment(moment: datetime) -> tuple[Cell, ...]:
    return (show.clock_time(moment), show.dim(f"({show.age(moment)})"))


def _attempt_summary(task: TaskView) -> tuple[Cell, ...]:
    parts = [f"attempt {task.attempt} of {task.max_attempts}"]
    if task.run > 1:
        parts.append(f"run {task.run}")
    if task.losses:
        parts.append(f"lost {task.losses} of {task.max_losses} times")
    if task.cancel_requested:
        parts.append("cancel requested")
    return (show.dim(", ".join(parts)),)


def _due(task: TaskView) -> datetime | None:
    """Return when it may run, if that is not when it was created."""
    return task.run_at if (task.run_at - task.created_at).total_seconds() > 1 else None


def _ran(task: TaskView) -> tuple[Cell, ...]:
    if task.started_at is None or task.finished_at is None:
        return ()
    seconds = max((task.finished_at - task.started_at).total_seconds(), 0)
    return (show.dim(f"ran {show.duration(seconds)}"),)


def _options(task: TaskView) -> Iterator[tuple[Cell, ...]]:
    """Yield its retry policy, and the fields that have rows of their own, where they are set."""
    if task.retry is not None:
        yield _labelled("retry", show.fields(task.retry.to_json()))
    for field in SHOWN:
        value = getattr(task, field.name)
        if field.is_row and value is not None:
            text = show.duration(value) if field.kind is Kind.SECONDS else str(value)
            yield _labelled(field.name.partition("_")[0], text)


def _contents(task: TaskView) -> Iterator[tuple[Cell, ...]]:
    if task.labels:
        yield _labelled("labels", show.fields(task.labels))
    for label in ("payload", "result"):
        value = getattr(task, label)
        if value is not None:
            yield _labelled(label, show.json_text(value))
    if task.error:
        yield _labelled("error", show.failure(f"{task.error.type}: {task.error.message}"))
