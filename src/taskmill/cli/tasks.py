"""The commands for tasks: create, list, show, watch, wait, cancel, retry and the like."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import click

from taskmill.cli import show
from taskmill.cli.deliveries import deliveries
from taskmill.cli.explaining import explain
from taskmill.cli.history import event_lines, history_lines, task_lines
from taskmill.cli.logs import logs
from taskmill.cli.numbers import Seconds, Whole
from taskmill.cli.server import json_option, open_client, quiet_option, url_option
from taskmill.cli.sweeping import (
    CANCEL,
    RETRY,
    filter_options,
    filters_of,
    parse_sweep,
    sweep,
    sweep_options,
)
from taskmill.cli.task_options import task_options
from taskmill.cli.watching import PrintTask, as_unknown_outcome, follow, follow_as_json, wait_for
from taskmill.client.calls import Filters, TaskFields
from taskmill.client.errors import NotAccepted
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.domain.lifecycle import Status
from taskmill.wire.tasks import TaskView

__all__ = ["task"]

_LARGEST_PAGE = 500

_CREATE_EPILOG = """\b
Examples:
  taskmill task create first
  taskmill task create report --payload '{"delay_s": 2}' --label team=finance --wait
  taskmill task create nightly --queue reports --run-at 2030-01-31T02:00 --max-attempts 3
"""
_LIST_EPILOG = """\b
Examples:
  taskmill task list --status failed --status cancelled --queue reports
  taskmill task list --label team=finance --created-after 2030-01-31
  taskmill task list --all --json | jq -r .id
"""

_CANCEL_EPILOG = """\b
Examples:
  taskmill task cancel 0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f
  taskmill task cancel --queue reports --status new
  taskmill task cancel --label team=finance --dry-run
"""
_RETRY_EPILOG = """\b
Examples:
  taskmill task retry 0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f
  taskmill task retry --queue reports --created-after 2030-01-31
  taskmill task retry --status failed --status cancelled --yes
"""


@click.group()
def task() -> None:
    """Create tasks, and see how they went.

    A task is new, then in_progress, then succeeded or failed; or it is cancelled.
    """


task.add_command(explain)


@task.command(epilog=_CREATE_EPILOG)
@click.argument("name")
@task_options
@click.option("--wait", is_flag=True, help="Follow it to its end; exit status as of watch.")
@url_option
@json_option
@quiet_option
def create(
    *,
    name: str,
    labels: tuple[tuple[str, str], ...],
    wait: bool,
    url: str,
    as_json: bool,
    quiet: bool,
    **given: Any,  # noqa: ANN401 - the other fields of a task, checked by the service
) -> int:
    """Create a task called NAME and print its id."""
    fields: TaskFields = _given(labels=dict(labels) or None, **given)  # type: ignore[assignment]  # names are the options above
    with open_client(url) as client:
        created = client.create(name, **fields)
        if wait:
            return _follow_new(client, created, as_json=as_json, quiet=quiet)
    if as_json:
        show.json_lines([created.model_dump_json().encode()])
    else:
        show.line(str(created.id))
    if not (as_json or quiet):
        show.note(f"{created.status}; follow it with: taskmill task watch {created.id}")
    return 0


def _follow_new(client: TaskmillClient, created: TaskView, *, as_json: bool, quiet: bool) -> int:
    """Print its id and follow a task to its end; with JSON, the id only if following was interrupted."""
    if not as_json:
        show.line(str(created.id))
    try:
        with as_unknown_outcome():
            if as_json:
                return follow_as_json(client, created.id, only_end=True)
            return wait_for(client, [created.id]) if quiet else follow(client, created.id)
    except (KeyboardInterrupt, click.ClickException):
        if as_json:
            show.note(f"it goes on: {created.id}")
        raise


@task.command("list", epilog=_LIST_EPILOG)
@filter_options(*Status)
@click.option(
    "--order", type=click.Choice(["desc", "asc"]), help="asc is oldest first.  [default: desc]"
)
@click.option(
    "--limit",
    type=Whole(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="How many at most.",
)
@click.option("--all", "show_all", is_flag=True, help="All of them; ends the limit.")
@url_option
@json_option
@quiet_option
def list_(
    *,
    limit: int,
    show_all: bool,
    url: str,
    as_json: bool,
    quiet: bool,
    **given: Any,  # noqa: ANN401 - the filters, checked by the service
) -> None:
    """List tasks, newest first. With --json, one task a line."""
    filters: Filters = filters_of(given)  # type: ignore[assignment]  # names are the options above
    filters["limit"] = _LARGEST_PAGE if show_all else min(limit, _LARGEST_PAGE)
    with open_client(url) as client:
        tasks = islice(client.list(**filters), None if show_all else limit)
        if as_json:
            show.json_lines(item.model_dump_json().encode() for item in tasks)
        elif quiet:
            for item in tasks:
                show.line(str(item.id))
        else:
            _print_tables(tasks)


@task.command("show")
@click.argument("task_id", metavar="ID")
@url_option
@json_option
def show_(*, task_id: str, url: str, as_json: bool) -> None:
    """Show a task and its history.

    With --json, the task as one object with its history in "events".
    """
    with open_client(url) as client:
        found = client.get(task_id)
        events = client.events(task_id)
    if as_json:
        history = [event.model_dump(mode="json") for event in events]
        show.json_lines([{**found.model_dump(mode="json"), "events": history}])
        return
    for cells in (*task_lines(found), *history_lines(events)):
        show.line(*cells)


@task.command()
@click.argument("task_id", metavar="ID")
@url_option
@json_option
def watch(*, task_id: str, url: str, as_json: bool) -> int:
    """Follow a task until it has ended. With --json, the task at each change, one a line.

    Exit status: 0 succeeded, 1 failed, 3 cancelled, 5 unknown (no response, no such task), 130 interrupted (the
    task goes on).
    """
    with as_unknown_outcome(), open_client(url) as client:
        if as_json:
            return follow_as_json(client, task_id, only_end=False)
        return follow(client, task_id)


@task.command()
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--timeout-s", type=Seconds(min=0), metavar="S", help="No longer.  [default: for ever]"
)
@url_option
@json_option
@quiet_option
def wait(
    *, task_ids: tuple[str, ...], timeout_s: float | None, url: str, as_json: bool, quiet: bool
) -> int:
    """Wait until all these tasks have ended, and show how. With --json, one task a line.

    Exit status: 0 all succeeded, 1 one failed, 3 one was cancelled, 4 the time is over, 5 unknown (no response,
    no such task).
    """
    with as_unknown_outcome(), open_client(url) as client:
        return wait_for(
            client, task_ids, timeout_s=timeout_s, print_task=_printer(as_json=as_json, quiet=quiet)
        )


@task.command("events")
@click.argument("task_id", metavar="ID")
@url_option
@json_option
def events_(*, task_id: str, url: str, as_json: bool) -> None:
    """Show a task's history, oldest first. With --json, one change a line.

    What happens to all tasks, as it happens: taskmill events.
    """
    with open_client(url) as client:
        history = client.events(task_id)
    if as_json:
        show.json_lines(event.model_dump_json().encode() for event in history)
        return
    for cells in event_lines(history):
        show.line(*cells)


task.add_command(logs)
task.add_command(deliveries)


@task.command(epilog=_CANCEL_EPILOG)
@click.argument("task_ids", metavar="[ID...]", nargs=-1)
@filter_options(Status.NEW, Status.IN_PROGRESS)
@sweep_options
@url_option
@json_option
@quiet_option
def cancel(
    *,
    task_ids: tuple[str, ...],
    url: str,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401 - see the options
) -> int:
    """Cancel tasks by their ids, or all that match a filter.

    Waiting ones are cancelled at once; the workers of running ones are asked to stop them. With a filter, it
    counts the tasks first and asks for confirmation.
    """
    selection = parse_sweep(task_ids, options)
    with open_client(url) as client:
        if selection is None:
            return _for_each(task_ids, client.cancel, _printer(as_json=as_json, quiet=quiet))
        return sweep(client.cancel_matching, CANCEL, selection, as_json=as_json, quiet=quiet)


@task.command(epilog=_RETRY_EPILOG)
@click.argument("task_ids", metavar="[ID...]", nargs=-1)
@filter_options(Status.FAILED, Status.CANCELLED, Status.SUCCEEDED)
@sweep_options
@url_option
@json_option
@quiet_option
def retry(
    *,
    task_ids: tuple[str, ...],
    url: str,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401 - see the options
) -> int:
    """Run ended tasks again, with all their attempts: by their ids, or all that match a filter.

    Without --status only failed ones match. With a filter, it counts the tasks first and asks for confirmation.
    """
    selection = parse_sweep(task_ids, options)
    with open_client(url) as client:
        if selection is None:
            return _for_each(task_ids, client.retry, _printer(as_json=as_json, quiet=quiet))
        return sweep(client.retry_matching, RETRY, selection, as_json=as_json, quiet=quiet)


def _for_each(
    task_ids: Iterable[str], action: Callable[[str], TaskView], print_task: PrintTask
) -> int:
    """Do it to each; a refusal is printed and does not stop the others."""
    exit_status = 0
    for task_id in task_ids:
        try:
            changed = action(task_id)
        except NotAccepted as error:
            click.echo(f"Error: {task_id}: {error}", err=True)
            exit_status = 1
            continue
        print_task(changed)
    return exit_status


def _printer(*, as_json: bool, quiet: bool) -> PrintTask:
    """Return what prints a task's new state."""
    if quiet:
        return lambda _: None
    return _print_as_json if as_json else _print_state


def _print_as_json(changed: TaskView) -> None:
    show.json_lines([changed.model_dump_json().encode()])
    show.flush()


def _print_state(changed: TaskView) -> None:
    is_stopping = changed.cancel_requested and changed.status is Status.IN_PROGRESS
    stopping = show.dim("it runs; its worker is asked to stop it")
    show.line(str(changed.id), stopping if is_stopping else show.status(changed.status))


def _given(**options: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever options give
    """Return the given options; for the others the service's defaults hold."""
    return {name: value for name, value in options.items() if value not in (None, (), [])}


def _print_tables(tasks: Iterator[TaskView]) -> None:
    """Print page by page: a long list starts at once, and is never in memory as a whole."""
    headings = ("ID", "STATUS", "NAME", "QUEUE", "TYPE", "ATTEMPT", "CREATED")
    is_first = True
    while rows := [_row(item) for item in islice(tasks, _LARGEST_PAGE)]:
        show.table(
            headings,
            rows,
            cut="NAME",
            dispensable=("TYPE", "ATTEMPT", "QUEUE", "CREATED"),
            with_headings=is_first,
        )
        is_first = False
    if is_first:
        show.note("no tasks")


def _row(item: TaskView) -> tuple[show.Cell, ...]:
    return (
        str(item.id),
        show.status(item.status),
        item.name,
        item.queue,
        item.type,
        f"{item.attempt}/{item.max_attempts}",
        show.age(item.created_at),
    )
