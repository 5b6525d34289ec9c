"""Prints schedules and what became of their ticks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import assert_never

from taskmill.cli import show
from taskmill.cli.output import Columns, Lines
from taskmill.cli.schedule_preview import local_text
from taskmill.client.views.schedule_views import FireView, ScheduleRequestView, ScheduleView
from taskmill.domain.fires import FireOutcome
from taskmill.domain.schedules.zones import zone_names, zone_of


def schedule_lines(found: ScheduleView) -> Lines:
    """Yield what a schedule is, and its state."""
    yield show.strong(found.name), show.dim(f"revision {found.revision}")
    yield show.labelled("when", _when(found), show.dim(found.zone))
    if bounds := show.fields(
        {"from": _optional(found.starts_at), "until": _optional(found.ends_at)}
    ):
        yield show.labelled("bounds", bounds)
    yield show.labelled("state", *_state(found))
    if found.next_tick is not None and found.paused_at is None:
        yield show.labelled("next tick", *_moment(found, found.next_tick))
    if found.held_tick is not None:
        yield show.labelled("held tick", *_moment(found, found.held_tick))
    yield show.labelled("overlap", found.overlap)
    yield show.labelled(
        "catch up", f"{found.catch_up}, within {found.within}, {found.most} at most"
    )
    if found.cron is not None:
        yield show.labelled("clocks", f"gap={found.gap}  fold={found.fold}")
    if found.jitter_s:
        yield show.labelled("jitter", f"up to {show.duration(found.jitter_s)}")
    yield show.labelled("task", show.fields(found.task))
    if found.managed_by is not None:
        yield show.labelled("managed by", found.managed_by, *_undeclared(found))
    if found.request is not None:
        yield from _request_lines(found, found.request)


def _undeclared(found: ScheduleView) -> Iterator[show.Cell]:
    if found.undeclared_at is not None:
        yield show.warning(f"its code has it no longer, {show.age(found.undeclared_at)}")


def _request_lines(found: ScheduleView, request: ScheduleRequestView) -> Lines:
    """Yield what SQL has asked for and is not done, and if it was refused why."""
    asked = f"by {request.asked_by} in SQL"
    yield show.labelled("asked for", asked, show.dim(show.age(request.asked_at)))
    if request.problem is None:
        yield show.labelled("", show.warning("waits for maintenance"))
        return
    yield show.labelled("", show.failure(f"refused: {request.problem.detail}"))
    if found.revision:
        yield show.labelled("", show.dim("the schedule stays as it was"))


def last_tick_lines(found: ScheduleView, last: FireView | None) -> Lines:
    """Yield what became of a schedule's last tick, and if it made no task why, and what can be done."""
    if last is None:
        yield show.labelled("last tick", show.dim("none yet"))
        return
    tick = last.tick if last.until_tick is None else last.until_tick
    yield show.labelled("last tick", *_moment(found, tick))
    yield show.labelled("", *_what_became(found, last))
    if last.outcome not in {FireOutcome.CREATED, FireOutcome.HELD}:
        times = f"--from {time_text(tick)} --to {time_text(tick)}"
        command = f"taskmill schedule backfill {found.name} {times}"
        yield show.labelled("", show.dim("→"), f"to make its task now: {command}")


def _what_became(found: ScheduleView, last: FireView) -> Iterator[show.Cell]:
    match last.outcome:
        case FireOutcome.CREATED:
            yield show.good(f"made task {last.task_id}")
            if last.cancelled_task_id is not None:
                yield f"and had task {last.cancelled_task_id} cancelled"
        case FireOutcome.HELD:
            yield show.warning(f"is held until task {found.last_task_id} has ended")
        case _:
            yield show.warning(f"made no task: {_why(last)}")
            if last.ticks > 1:
                yield show.dim(f"{last.ticks:,} ticks in a row")


def _why(last: FireView) -> str:
    """Return why a tick made no task."""
    match last.outcome:
        case FireOutcome.SKIPPED_OVERLAP:
            return "the task of an earlier tick had not ended"
        case FireOutcome.SKIPPED_MISSED:
            return "it was missed, as nothing fired in time, and was not to be caught up with"
        case FireOutcome.SKIPPED_PAUSED:
            return "the schedule was paused"
        case FireOutcome.SKIPPED_GAP:
            return "a clock change leaves its time out"
        case FireOutcome.REFUSED:
            return "it was refused" if last.problem is None else last.problem.detail
        case FireOutcome.CREATED | FireOutcome.HELD:
            return ""
        case _:
            assert_never(last.outcome)


def time_text(moment: datetime) -> str:
    """Return a time in UTC, as options take it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _optional(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment)


def _moment(found: ScheduleView, moment: datetime) -> tuple[show.Cell, ...]:
    """Show a moment in the schedule's zone, if this machine knows that."""
    zone = zone_of(found.zone) if found.zone in zone_names() else UTC
    return local_text(moment.astimezone(zone)), show.dim(show.age(moment))


def _when(found: ScheduleView) -> str:
    if found.cron is not None:
        return found.cron
    if found.every is not None:
        since = "" if found.anchor is None else f" from {time_text(found.anchor)}"
        return f"every {found.every}{since}"
    return f"at {', '.join(map(time_text, found.at or ()))}"


def _state(found: ScheduleView) -> Iterator[show.Cell]:
    if not found.revision:
        is_refused = found.request is not None and found.request.problem is not None
        yield show.failure("refused") if is_refused else show.warning("asked for")
    elif found.paused_at is not None:
        yield show.warning("paused")
        yield show.dim(show.age(found.paused_at))
    elif found.next_tick is None:
        yield show.dim("ended")
    else:
        yield show.good("active")


def _row(item: ScheduleView) -> tuple[show.Cell, ...]:
    return (
        item.name,
        next(_state(item)),
        _when(item),
        item.zone,
        "-" if item.next_tick is None or item.paused_at is not None else show.age(item.next_tick),
        str(item.task.get("type") or "-"),
        str(item.task.get("queue") or "-"),
    )


COLUMNS = Columns(
    headings=("NAME", "STATE", "WHEN", "ZONE", "NEXT", "TYPE", "QUEUE"),
    row=_row,
    cut="WHEN",
    empty="no schedules: make one with `taskmill schedule put NAME --cron EXPRESSION`",
    dispensable=("QUEUE", "TYPE"),
    key=lambda item: item.name,
)


def _fire_row(item: FireView) -> tuple[show.Cell, ...]:
    return (
        time_text(item.tick),
        "-" if item.until_tick is None else time_text(item.until_tick),
        f"{item.ticks:,}",
        item.cause,
        _outcome(item.outcome),
        "-" if item.task_id is None else str(item.task_id),
        "" if item.problem is None else item.problem.detail,
    )


def _outcome(outcome: FireOutcome) -> show.Cell:
    match outcome:
        case FireOutcome.CREATED:
            return show.good(outcome)
        case FireOutcome.REFUSED:
            return show.failure(outcome)
        case _:
            return show.warning(outcome)


FIRE_COLUMNS = Columns(
    headings=("TICK", "UNTIL", "TICKS", "CAUSE", "OUTCOME", "TASK", "WHY"),
    row=_fire_row,
    cut="WHY",
    empty="nothing became of a tick yet",
    dispensable=("CAUSE", "UNTIL", "TICKS", "TASK"),
    numbers=("TICKS",),
    texts=("WHY",),
)
