"""The command that shows when a schedule would have ticks, and how ticks are shown."""

from datetime import datetime
from typing import Any

import click

from taskmill.cli import show
from taskmill.cli.numbers import Whole
from taskmill.cli.output import Lines, Output
from taskmill.cli.parameters import Moment
from taskmill.cli.schedule_options import spec_options
from taskmill.cli.server import given, over_http
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.schedule_previews import (
    ClockChangeView,
    PreviewedTickView,
    SchedulePreviewView,
)
from taskmill.domain.schedules.preview import DEFAULT_COUNT
from taskmill.domain.schedules.spec import ClockNote
from taskmill.wire.preview_requests import MOST_PREVIEWED

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


@click.command(epilog=_EPILOG)
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
    output.item(found, preview_lines)


def preview_lines(found: SchedulePreviewView) -> Lines:
    """Yield a schedule in words, its ticks, and the clock changes between them."""
    yield (show.strong(found.words),)
    changes = list(found.clock_changes)
    for tick in found.ticks:
        while changes and changes[0].at <= tick.tick:
            yield _change_line(changes.pop(0))
        yield _tick_line(tick)
    if not found.ticks:
        yield ("it has no more ticks",)


def _tick_line(tick: PreviewedTickView) -> tuple[show.Cell, ...]:
    cells = (
        local_text(datetime.fromisoformat(tick.local)),
        show.dim(f"{tick.tick:%Y-%m-%d %H:%M:%S}Z"),
    )
    return cells if tick.note is None else (*cells, show.warning(_NOTES[tick.note]))


def local_text(local: datetime) -> str:
    """Return a time in the zone of a schedule: its weekday, and it with its offset."""
    return f"{local:%a} {local.isoformat()}"


def _change_line(change: ClockChangeView) -> tuple[show.Cell, ...]:
    what = "are left out" if change.kind == "gap" else "come twice"
    times = f"{change.local_from} to {change.local_until} {what}"
    offsets = f"{change.offset_before} → {change.offset_after}"
    return (show.warning(f"clock change: {times}"), show.dim(offsets))
