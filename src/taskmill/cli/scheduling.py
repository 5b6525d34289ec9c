"""The commands for schedules."""

from datetime import datetime
from typing import Any

import click

from taskmill.cli import show
from taskmill.cli.numbers import Seconds, Whole
from taskmill.cli.output import Lines, Output
from taskmill.cli.parameters import Moment
from taskmill.cli.server import Command, given, over_http, with_options
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.domain.schedules.preview import DEFAULT_COUNT
from taskmill.domain.schedules.spec import ClockNote, Fold, Gap
from taskmill.wire.preview_requests import MOST_PREVIEWED
from taskmill.wire.schedule_previews import (
    ClockChangeView,
    PreviewedTickView,
    SchedulePreviewView,
)

_EPILOG = """\b
Examples:
  taskmill schedule preview --cron "30 2 * * *" --zone Europe/Moscow
  taskmill schedule preview --every PT15M --count 5
"""
_NOTES = {
    ClockNote.AFTER_GAP: "for a time that the clock change leaves out",
    ClockNote.SKIPPED_GAP: "skipped: the clock change leaves it out",
    ClockNote.FOLD_FIRST: "the first time of two",
    ClockNote.FOLD_LAST: "the last time of two",
}


@click.group(epilog=_EPILOG)
def schedule() -> None:
    """See when a schedule would make tasks."""


_SPEC_OPTIONS = (
    click.option("--cron", metavar="EXPRESSION", help="5 fields, 6 with seconds, or @daily."),
    click.option("--every", metavar="DURATION", help="An ISO 8601 duration, such as PT15M."),
    click.option("--at", type=Moment(), multiple=True, help="A time; may be repeated."),
    click.option("--anchor", type=Moment(), help="From when an interval is counted."),
    click.option("--zone", metavar="NAME", help="The time zone, such as Europe/Berlin; else UTC."),
    click.option(
        "--gap",
        type=click.Choice([one.value for one in Gap]),
        help="Times that a clock change leaves out: at its end, or skipped.",
    ),
    click.option(
        "--fold",
        type=click.Choice([one.value for one in Fold]),
        help="Times that a clock change repeats.",
    ),
    click.option("--starts-at", type=Moment(), help="No tick is before it."),
    click.option("--ends-at", type=Moment(), help="All ticks are before it."),
    click.option(
        "--jitter",
        "jitter_s",
        type=Seconds(min=0),
        metavar="SECONDS",
        help="The longest delay of a tick.",
    ),
)


def spec_options(command: Command) -> Command:
    """Add the options that say when a schedule has ticks."""
    return with_options(*_SPEC_OPTIONS)(command)


@schedule.command()
@spec_options
@click.option("--after", type=Moment(), help="The ticks after this time; else after now.")
@click.option(
    "--count",
    type=Whole(min=1, max=MOST_PREVIEWED),
    default=DEFAULT_COUNT,
    show_default=True,
    metavar="N",
    help="How many ticks.",
)
@over_http()
def preview(
    *,
    after: datetime | None,
    count: int,
    client: TaskmillClient,
    output: Output,
    **spec: Any,  # noqa: ANN401 - the options of a spec
) -> None:
    """Show the next ticks in the schedule's zone, with its clock changes.

    Nothing is stored.
    """
    found = client.preview_schedule(after=after, count=count, **given(spec))
    output.item(found, _lines)


def _lines(found: SchedulePreviewView) -> Lines:
    yield (show.strong(found.words),)
    changes = list(found.clock_changes)
    for tick in found.ticks:
        while changes and changes[0].at <= tick.tick:
            yield _change_line(changes.pop(0))
        yield _tick_line(tick)
    if not found.ticks:
        yield ("it has no more ticks",)


def _tick_line(tick: PreviewedTickView) -> tuple[show.Cell, ...]:
    local = datetime.fromisoformat(tick.local)
    cells = (f"{local:%a} {tick.local}", show.dim(f"{tick.tick:%Y-%m-%d %H:%M:%S}Z"))
    return cells if tick.note is None else (*cells, show.warning(_NOTES[tick.note]))


def _change_line(change: ClockChangeView) -> tuple[show.Cell, ...]:
    what = "are left out" if change.kind == "gap" else "come twice"
    times = f"{change.local_from} to {change.local_until} {what}"
    offsets = f"{change.offset_before} → {change.offset_after}"
    return (show.warning(f"clock change: {times}"), show.dim(offsets))
