"""The commands for schedules: put, list, show, pause, run, backfill; what became of each tick."""

import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final

import click

from taskmill.cli import show
from taskmill.cli.crontab import import_
from taskmill.cli.numbers import Whole
from taskmill.cli.output import Limit, Lines, Output
from taskmill.cli.parameters import Moment
from taskmill.cli.schedule_lines import (
    COLUMNS,
    FIRE_COLUMNS,
    last_tick_lines,
    schedule_lines,
    time_text,
)
from taskmill.cli.schedule_options import (
    policy_options,
    spec_options,
    template_of,
    template_options,
)
from taskmill.cli.schedule_preview import preview, preview_lines
from taskmill.cli.server import for_each, given, limit_options, over_http
from taskmill.client.schedules import ScheduleFields, SpecFields
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.schedule_views import BackfillView, FireView, ScheduleView
from taskmill.domain.fires import FireCause, FireOutcome

_EPILOG = """\b
Examples:
  taskmill schedule put nightly --cron "30 2 * * *" --zone Europe/Moscow --type report
  taskmill schedule list
  taskmill schedule show nightly
  taskmill schedule pause nightly
"""
_PUT_EPILOG = """\b
Examples:
  taskmill schedule put nightly --cron "30 2 * * *" --zone Europe/Moscow --type report --overlap skip
  taskmill schedule put refresh --every PT15M --queue caches --payload '{"region": "eu"}'
  taskmill schedule put launch --at 2030-01-31T09:00Z --task @task.json
"""
_BACKFILL_EPILOG = """\b
Examples:
  taskmill schedule backfill nightly --from 2030-01-01T00:00Z --dry-run
  taskmill schedule backfill nightly --from 2030-01-01T00:00Z --to 2030-01-31T00:00Z --yes
"""
# `run` by hand makes a fire, too: so many of them are looked through for that of a tick.
_MOST_SEARCHED: Final = 500
_SHOWN_TICKS: Final = 3


@click.group(epilog=_EPILOG)
def schedule() -> None:
    """Have tasks made at times: by cron expressions, at intervals, or at given times.

    A tick is a moment at which a schedule makes a task. `fires` says what became of each.
    """


schedule.add_command(preview)
schedule.add_command(import_)


@schedule.command("list")
@limit_options
@over_http(has_quiet=True)
def list_(*, limit: Limit, client: TaskmillClient, output: Output) -> None:
    """List schedules, the oldest first. With --json, one a line."""
    found = client.schedules(page_size=limit.page_size)
    output.items(limit.of(found), COLUMNS, in_pages=True)


@schedule.command("show")
@click.argument("name")
@over_http()
def show_(*, name: str, client: TaskmillClient, output: Output) -> None:
    """Show a schedule, its next ticks, and why the last one made no task, if it made none.

    With --json, the schedule as one object with what became of its last tick in "last_fire".
    """
    found, last = client.schedule(name), _last_fire(client, name)
    if output.as_json:
        fire = None if last is None else last.to_json()
        show.json_lines([{**found.to_json(), "last_fire": fire}])
        return
    for cells in (*schedule_lines(found), *last_tick_lines(found, last)):
        show.line(*cells)
    if found.next_tick is not None:
        show.line()
        for cells in _next_ticks(client, found):
            show.line(*cells)


def _last_fire(client: TaskmillClient, name: str) -> FireView | None:
    """Return what became of a schedule's last tick."""
    searched = islice(client.fires(name), _MOST_SEARCHED)
    return next((fire for fire in searched if fire.cause is not FireCause.MANUAL), None)


def _next_ticks(client: TaskmillClient, found: ScheduleView) -> Lines:
    names = SpecFields.__annotations__
    spec: SpecFields = {name: getattr(found, name) for name in names}  # type: ignore[assignment]  # the same fields
    return preview_lines(client.preview_schedule(count=_SHOWN_TICKS, **spec))


@schedule.command(epilog=_PUT_EPILOG)
@click.argument("schedule_name", metavar="NAME")
@spec_options
@policy_options
@click.option(
    "--revision",
    type=Whole(min=1),
    metavar="N",
    help="Replace it only if it has this revision.",
)
@template_options
@over_http()
def put(
    *,
    schedule_name: str,
    revision: int | None,
    client: TaskmillClient,
    output: Output,
    **options: Any,  # noqa: ANN401 - the options of a schedule, checked by the service
) -> None:
    """Create schedule NAME, or replace it: what is not given has its default then.

    Give one of --cron, --every and --at. Ticks of the past make no tasks.
    """
    own = {name: options.pop(name) for name in ScheduleFields.__annotations__}
    fields: ScheduleFields = given(own)  # type: ignore[assignment]  # names are the options above
    task = template_of(schedule_name, options)
    output.item(
        client.put_schedule(schedule_name, task, revision=revision, **fields), schedule_lines
    )


@schedule.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@over_http()
def pause(*, names: tuple[str, ...], client: TaskmillClient, output: Output) -> int:
    """Have schedules make no tasks until they are resumed. Exit status 1 when one could not be."""
    return for_each(names, lambda name: output.item(client.pause_schedule(name), _state_lines))


@schedule.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--catch-up",
    is_flag=True,
    help="Make tasks for the ticks since the pause, as far as its within and most allow.",
)
@over_http()
def resume(
    *, names: tuple[str, ...], catch_up: bool, client: TaskmillClient, output: Output
) -> int:
    """Have paused schedules go on with their next tick. Exit status 1 when one could not be."""

    def resume_one(name: str) -> None:
        output.item(client.resume_schedule(name, catch_up=catch_up), _state_lines)

    return for_each(names, resume_one)


@schedule.command()
@click.argument("name")
@click.option("--idempotency-key", metavar="TEXT", help="A repeat gives the same task.")
@over_http(has_quiet=True)
def run(*, name: str, idempotency_key: str | None, client: TaskmillClient, output: Output) -> None:
    """Make a task of a schedule now and print its id; also if it is paused, whatever its overlap.

    Its ticks stay as they are.
    """
    made = client.run_schedule(name, idempotency_key=idempotency_key)
    if output.as_json:
        show.json_lines([made])
        return
    show.line(str(made.id))
    if not output.quiet:
        show.note(f"{made.status}; follow it with: taskmill task watch {made.id}")


@schedule.command(epilog=_BACKFILL_EPILOG)
@click.argument("name")
@click.option("--from", "since", type=Moment(), required=True, help="From this tick on.")
@click.option("--to", "until", type=Moment(), help="Up to this tick; else up to now.")
@click.option(
    "--priority",
    type=Whole(0, 9),
    default=0,
    show_default=True,
    metavar="N",
    help="Of these tasks; 0 is the least urgent.",
)
@click.option("--dry-run", is_flag=True, help="Only list the ticks.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@over_http()
def backfill(
    *,
    name: str,
    since: datetime,
    until: datetime | None,
    priority: int,
    dry_run: bool,
    yes: bool,
    client: TaskmillClient,
    output: Output,
) -> int:
    """Make tasks for ticks of the past that made none, the oldest first; prints the ticks.

    Ticks are those of what the schedule says now. No tick gets a second task, however often this is run.
    """
    has_person = sys.stdin.isatty() and sys.stderr.isatty()
    if not (dry_run or yes or has_person):
        raise click.UsageError(
            "There is no terminal to confirm on: give --yes, or --dry-run to only list the ticks."
        )
    until = until or client.schedule(name).done_until

    def parts(*, dry_run: bool) -> Iterator[BackfillView]:
        after: datetime | None = since
        while after is not None:
            part = client.backfill_schedule(
                name, since=after, until=until, priority=priority, dry_run=dry_run
            )
            yield part
            after = part.next_from

    if not (dry_run or yes):
        count = sum(len(part.ticks) for part in parts(dry_run=True))
        if not count or not click.confirm(f"Make tasks for {count:,} ticks?", err=True):
            show.note("nothing was made")
            return 1
    _print_backfill(parts(dry_run=dry_run), output)
    return 0


def _print_backfill(parts: Iterator[BackfillView], output: Output) -> None:
    """Print the ticks of each part as soon as it is done."""
    count = 0
    for part in parts:
        count += len(part.ticks)
        output.item(part, lambda part: [(time_text(tick),) for tick in part.ticks])
        show.flush()
    if not count and not output.as_json:
        show.note("no tick there is without a task")


@schedule.command("fires")
@click.argument("name")
@click.option(
    "--outcome",
    type=click.Choice([one.value for one in FireOutcome]),
    multiple=True,
    help="May be given several times.",
)
@limit_options
@over_http()
def fires_(
    *, name: str, outcome: tuple[str, ...], limit: Limit, client: TaskmillClient, output: Output
) -> None:
    """List what became of a schedule's ticks, the latest first. With --json, one a line.

    Several ticks one after another that were skipped for the same reason are one line.
    """
    found = client.fires(name, outcome=outcome, page_size=limit.page_size)
    output.items(limit.of(found), FIRE_COLUMNS, in_pages=True)


@schedule.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@over_http(has_json=False)
def delete(*, names: tuple[str, ...], client: TaskmillClient) -> int:
    """Delete schedules; their tasks stay. Exit status 1 when one could not be."""
    return for_each(names, client.delete_schedule)


def _state_lines(changed: ScheduleView) -> Lines:
    state = show.warning("paused") if changed.paused else show.good("active")
    due = (
        None if changed.next_tick is None else show.dim(f"next tick {show.age(changed.next_tick)}")
    )
    return [(changed.name, state, *([] if due is None or changed.paused else [due]))]
