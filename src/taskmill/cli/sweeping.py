"""Cancels or retries all matching tasks: counts them, asks for confirmation, then goes step by step."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from taskmill.cli import show
from taskmill.cli.numbers import Number, Seconds, Whole
from taskmill.cli.output import Lines, Output
from taskmill.cli.parameters import LabelParam, Moment
from taskmill.cli.server import Command, given, with_options
from taskmill.client.errors import ClientError
from taskmill.client.sweeps import Planned, Selected, Sweep
from taskmill.client.views.jobs import JobView
from taskmill.client.views.sweeps import SweepView, TaskGroupsView
from taskmill.domain.jobs import MOST_UNTYPED
from taskmill.domain.lifecycle import Status
from taskmill.domain.sweep_plans import LEAST_PER_SECOND, MOST_PER_SECOND, MOST_TASKS
from taskmill.domain.task_fields import TASK_FIELDS

_BAR_WIDTH = 30
_MOST_NAMES = 4
_HOW = ("dry_run", "yes", "job")
_PLANNED = ("limit", "delay_s", "per_second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """What an action is called before and after."""

    action: Sweep
    imperative: str
    done: str

    def lines(self, result: SweepView) -> Lines:
        """Return the result of a sweep."""
        if result.dry_run or not result.matched:
            fits = "fits" if result.matched == 1 else "fit"
            return [(f"{_tasks(result.matched)} {fits}",)]
        parts = [f"{result.changed:,} {self.done}"]
        if result.cancel_requested:
            parts.append(f"{result.cancel_requested:,} running, asked to stop")
        if moved := result.matched - result.changed - result.cancel_requested:
            parts.append(f"{moved:,} moved on meanwhile")
        return [(", ".join(parts),)]


CANCEL = Verbs(action="cancel", imperative="Cancel", done="cancelled")
RETRY = Verbs(action="retry", imperative="Run again", done="new again")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """Which tasks, and how: as given by the options. As a `job`, the service does it in the background."""

    selected: Selected | Planned
    dry_run: bool
    yes: bool
    job: bool = False


_QUEUE = click.option("--queue", metavar="QUEUE", help="Of this queue.")
_TYPE = click.option("--type", "type", metavar="TYPE", help="Of this type.")
_LABEL = click.option("--label", type=LabelParam(), multiple=True, help="With this label.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only count what fits.")
_YES = click.option("--yes", is_flag=True, help="Don't ask.")
_JOB = click.option(
    "--job", is_flag=True, help="Let the service do it in the background, as a job."
)


def filter_options(*statuses: Status) -> Callable[[Command], Command]:
    """Add the options that select tasks."""
    return with_options(
        click.option(
            "--status",
            type=click.Choice([status.value for status in statuses]),
            multiple=True,
            help="May be given several times.",
        ),
        _QUEUE,
        _TYPE,
        _LABEL,
        click.option("--name", metavar="TEXT", help="Whose name has this text in it."),
        click.option(
            "--error",
            metavar="KIND",
            help="Whose latest error is of this kind, as failure list shows it.",
        ),
        click.option("--created-after", type=Moment(), help="Created at this time or later."),
        click.option("--created-before", type=Moment(), help="Created before this time."),
    )


sweep_options = with_options(
    click.option("--all", is_flag=True, help="All tasks; instead of a filter."),
    _DRY_RUN,
    _YES,
    _JOB,
)
asking_options = with_options(_DRY_RUN, _YES, _JOB)
kind_filter_options = with_options(_QUEUE, _TYPE, _LABEL)
plan_options = with_options(
    click.option(
        "--limit",
        type=Whole(1, MOST_TASKS),
        metavar="N",
        help="At most so many, the oldest.  [default: all]",
    ),
    click.option(
        "--delay-s",
        type=Seconds(TASK_FIELDS["delay_s"].least, TASK_FIELDS["delay_s"].most),
        metavar="S",
        help="Due so many seconds from now.  [default: at once]",
    ),
    click.option(
        "--per-second",
        type=Number(LEAST_PER_SECOND, MOST_PER_SECOND),
        metavar="N",
        help="Due one after the other, so many each second.  [default: all together]",
    ),
)


def filters_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters that were given, as the service takes them."""
    filters = {name: value for name, value in given(options).items() if value is not False}
    if labels := filters.get("label"):
        filters["label"] = [f"{key}={value}" for key, value in labels]
    return filters


def parse_sweep(task_ids: Sequence[str], options: Mapping[str, Any]) -> SweepOptions | None:
    """Return the requested sweep; None if ids are given.

    Raises:
        click.UsageError: Both or neither are given.
    """
    how = {name: options[name] for name in _HOW}
    plan = given({name: options.get(name) for name in _PLANNED})
    selected = filters_of(
        {name: options[name] for name in options if name not in (*_HOW, *_PLANNED)}
    )
    if not task_ids and not selected:
        raise click.UsageError("Which tasks? Give their ids, a filter such as --queue, or --all.")
    if task_ids and (selected or plan or any(how.values())):
        raise click.UsageError("Give ids or a filter, not both.")
    return None if task_ids else SweepOptions(selected={**selected, **plan}, **how)  # type: ignore[arg-type]  # names are the options above


def sweep(
    action: Callable[..., SweepView],
    verbs: Verbs,
    options: SweepOptions,
    output: Output,
    *,
    start: Callable[..., JobView],
) -> int:
    """Change all matching tasks after a confirmation, or `start` a job that does; print the result.

    Returns the exit status.
    """
    has_person = sys.stdin.isatty() and sys.stderr.isatty()
    if not (options.dry_run or options.yes or has_person):
        raise click.UsageError(
            "There is no terminal to confirm on: give --yes, or --dry-run to only count."
        )
    selected, total = options.selected, None
    groups: TaskGroupsView | None = None
    if options.dry_run or has_person:
        counted = _with_progress(action, "counted", selected, None, dry_run=True)
        if options.dry_run or not counted.matched:
            output.item(counted, verbs.lines)
            return 0
        total, groups = counted.matched, counted.groups
    if not options.yes and not _is_confirmed(verbs, total or 0, groups):
        show.note("nothing was changed")
        return 1
    if options.job:
        # It changes no more tasks than were confirmed.
        limit = {} if total is None else {"limit": total}
        _print_job(start(verbs.action, **{**selected, **limit}), output)
        return 0
    done = _with_progress(action, verbs.done, selected, total, dry_run=False)
    output.item(done, verbs.lines)
    return 0


def _print_job(job: JobView, output: Output) -> None:
    if output.as_json:
        show.json_lines([job])
        return
    show.line(str(job.id))
    if not output.quiet:
        show.note(f"it goes on in the background; follow it with: taskmill job show {job.id}")


def _is_confirmed(verbs: Verbs, total: int, groups: TaskGroupsView | None) -> bool:
    """Ask for confirmation; a large number must be typed, because a `y` is typed too easily."""
    question = f"{verbs.imperative} {_tasks(total)}{_of(groups)}?"
    if total <= MOST_UNTYPED:
        return click.confirm(question, err=True)
    typed = click.prompt(
        f"{question} Type the number", default="", show_default=False, err=True, type=str
    )
    return typed.replace(",", "").strip() == str(total)


def _of(groups: TaskGroupsView | None) -> str:
    """Return the names of the queues and types of tasks, as part of a question."""
    if groups is None or not groups.items:
        return ""
    queues = _named("queue", dict.fromkeys(one.queue for one in groups.items))
    types = _named("type", dict.fromkeys(one.type for one in groups.items))
    is_part = groups.more or not groups.are_complete
    return f" of {queues}, {types}{' and maybe others' if is_part else ''}"


def _named(what: str, names: Collection[str]) -> str:
    """Return names, or some of many: "queues mail, shop and 3 more"."""
    more = len(names) - _MOST_NAMES
    shown = ", ".join(list(names)[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"{what}{'' if len(names) == 1 else 's'} {shown}"


def _with_progress(
    action: Callable[..., SweepView],
    verb: str,
    selected: Selected | Planned,
    total: int | None,
    *,
    dry_run: bool,
) -> SweepView:
    """Do it, with a progress bar on a terminal."""
    done = 0
    with show.StatusLine() as status_line:

        def draw(so_far: SweepView) -> None:
            nonlocal done
            done = so_far.matched
            status_line.show(progress(done, total, verb))

        try:
            return action(dry_run=dry_run, on_step=draw, **selected)
        except (ClientError, KeyboardInterrupt):
            status_line.clear()
            show.note(f"broken off: {progress(done, None, verb)}, maybe more")
            raise


def progress(done: int, total: int | None, verb: str) -> str:
    """Return a progress bar, or only a count when the total is unknown."""
    if not total:
        return f"{done:,} {verb}"
    share = min(done / total, 1.0)
    filled = round(share * _BAR_WIDTH)
    return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {done:,} of {total:,} {verb}"


def _tasks(count: int) -> str:
    return f"{count:,} task" + ("" if count == 1 else "s")
