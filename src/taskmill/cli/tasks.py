"""The commands for tasks: create, list, show, watch, wait, cancel, retry, reschedule and the like."""

from typing import Any

import click

from taskmill.cli import show
from taskmill.cli.deliveries import deliveries
from taskmill.cli.explaining import explain
from taskmill.cli.history import event_lines, history_lines, task_lines
from taskmill.cli.logs import logs
from taskmill.cli.numbers import Seconds, Whole
from taskmill.cli.output import Columns, Limit, Lines, Output
from taskmill.cli.parameters import Moment
from taskmill.cli.server import for_each, given, limit_options, over_http
from taskmill.cli.sweeping import (
    CANCEL,
    RETRY,
    filter_options,
    filters_of,
    parse_sweep,
    plan_options,
    sweep,
    sweep_options,
)
from taskmill.cli.task_options import task_options
from taskmill.cli.watching import as_unknown_outcome, follow, follow_as_json, wait_for
from taskmill.client.calls import Filters, Rescheduled
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.tasks import TaskFields, TaskView
from taskmill.domain.lifecycle import Status
from taskmill.domain.task_fields import TASK_FIELDS
from taskmill.domain.waiting import WaitingState

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
  taskmill task list --waiting held
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
  taskmill task retry --queue reports --limit 1000 --per-second 10
  taskmill task retry --queue mail --per-second 20 --job
"""
_RESCHEDULE_EPILOG = """\b
Examples:
  taskmill task reschedule 0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f --now
  taskmill task reschedule 4711 4712 --priority 9 --queue urgent
  taskmill task reschedule 4711 --run-at 2030-01-31T09:00
"""


@click.group()
def task() -> None:
    """Create tasks, and see how they went.

    A task is new, then in_progress, then succeeded or failed; or it is cancelled.
    """


task.add_command(explain)


@task.command(epilog=_CREATE_EPILOG)
@click.argument("name")
@task_options()
@click.option("--wait", is_flag=True, help="Follow it to its end; exit status as of watch.")
@over_http(has_quiet=True)
def create(
    *,
    name: str,
    labels: tuple[tuple[str, str], ...],
    wait: bool,
    client: TaskmillClient,
    output: Output,
    **others: Any,  # noqa: ANN401 - the other fields of a task, checked by the service
) -> int:
    """Create a task called NAME and print its id."""
    fields: TaskFields = given({"labels": dict(labels) or None, **others})  # type: ignore[assignment]  # names are the options above
    created = client.create(name, **fields)
    if wait:
        return _follow_new(client, created, output)
    if output.as_json:
        show.json_lines([created])
        return 0
    show.line(str(created.id))
    if not output.quiet:
        show.note(f"{created.status}; follow it with: taskmill task watch {created.id}")
    return 0


def _follow_new(client: TaskmillClient, created: TaskView, output: Output) -> int:
    """Print its id and follow a task to its end; with JSON, the id only if following was interrupted."""
    if not output.as_json:
        show.line(str(created.id))
    try:
        with as_unknown_outcome():
            if output.as_json:
                return follow_as_json(client, created.id, only_end=True)
            return wait_for(client, [created.id]) if output.quiet else follow(client, created.id)
    except (KeyboardInterrupt, click.ClickException):
        if output.as_json:
            show.note(f"it goes on: {created.id}")
        raise


@task.command("list", epilog=_LIST_EPILOG)
@filter_options(*Status)
@click.option(
    "--waiting",
    type=click.Choice([state.value for state in WaitingState]),
    help="Only new tasks that wait for a slot, for their time, for another attempt, or for you.",
)
@click.option(
    "--order", type=click.Choice(["desc", "asc"]), help="asc is oldest first.  [default: desc]"
)
@limit_options
@over_http(has_quiet=True)
def list_(
    *,
    limit: Limit,
    client: TaskmillClient,
    output: Output,
    **wanted: Any,  # noqa: ANN401 - the filters, checked by the service
) -> None:
    """List tasks, newest first. With --json, one task a line."""
    filters: Filters = filters_of(wanted)  # type: ignore[assignment]  # names are the options above
    filters["limit"] = limit.page_size
    output.items(limit.of(client.list(**filters)), _COLUMNS, in_pages=True)


@task.command("show")
@click.argument("task_id", metavar="ID")
@over_http()
def show_(*, task_id: str, client: TaskmillClient, output: Output) -> None:
    """Show a task and its history.

    With --json, the task as one object with its history in "events".
    """
    found, events = client.get(task_id), client.events(task_id)
    if output.as_json:
        history = [event.to_json() for event in events]
        show.json_lines([{**found.to_json(), "events": history}])
        return
    for cells in (*task_lines(found), *history_lines(events)):
        show.line(*cells)


@task.command()
@click.argument("task_id", metavar="ID")
@as_unknown_outcome()
@over_http()
def watch(*, task_id: str, client: TaskmillClient, output: Output) -> int:
    """Follow a task until it has ended. With --json, the task at each change, one a line.

    Exit status: 0 succeeded, 1 failed, 3 cancelled, 5 unknown (no response, no such task), 130 interrupted (the
    task goes on).
    """
    if output.as_json:
        return follow_as_json(client, task_id, only_end=False)
    return follow(client, task_id)


@task.command()
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--timeout-s", type=Seconds(min=0), metavar="S", help="No longer.  [default: for ever]"
)
@as_unknown_outcome()
@over_http(has_quiet=True)
def wait(
    *,
    task_ids: tuple[str, ...],
    timeout_s: float | None,
    client: TaskmillClient,
    output: Output,
) -> int:
    """Wait until all these tasks have ended, and show how. With --json, one task a line.

    Exit status: 0 all succeeded, 1 one failed, 3 one was cancelled, 4 the time is over, 5 unknown (no response,
    no such task).
    """
    return wait_for(
        client, task_ids, timeout_s=timeout_s, print_task=lambda ended: _print(ended, output)
    )


@task.command("events")
@click.argument("task_id", metavar="ID")
@over_http()
def events_(*, task_id: str, client: TaskmillClient, output: Output) -> None:
    """Show a task's history, oldest first. With --json, one change a line.

    What happens to all tasks, as it happens: taskmill events.
    """
    history = client.events(task_id)
    if output.as_json:
        show.json_lines(history)
        return
    for cells in event_lines(history):
        show.line(*cells)


task.add_command(logs)
task.add_command(deliveries)


@task.command(epilog=_CANCEL_EPILOG)
@click.argument("task_ids", metavar="[ID...]", nargs=-1)
@filter_options(Status.NEW, Status.IN_PROGRESS)
@sweep_options
@over_http(has_quiet=True)
def cancel(
    *,
    task_ids: tuple[str, ...],
    client: TaskmillClient,
    output: Output,
    **options: Any,  # noqa: ANN401 - see the options
) -> int:
    """Cancel tasks by their ids, or all that match a filter.

    Waiting ones are cancelled at once; the workers of running ones are asked to stop them. With a filter, it
    counts the tasks first and asks for confirmation. With --job it prints the job's id, and does not wait.
    """
    selection = parse_sweep(task_ids, options)
    if selection is None:
        return for_each(task_ids, lambda task_id: _print(client.cancel(task_id), output))
    return sweep(client.cancel_matching, CANCEL, selection, output, start=client.start_job)


@task.command(epilog=_RETRY_EPILOG)
@click.argument("task_ids", metavar="[ID...]", nargs=-1)
@filter_options(Status.FAILED, Status.CANCELLED, Status.SUCCEEDED)
@plan_options
@sweep_options
@over_http(has_quiet=True)
def retry(
    *,
    task_ids: tuple[str, ...],
    client: TaskmillClient,
    output: Output,
    **options: Any,  # noqa: ANN401 - see the options
) -> int:
    """Run ended tasks again, with all their attempts: by their ids, or all that match a filter.

    Without --status only failed ones match. With a filter, it counts the tasks first and asks for confirmation;
    they are due at once, or after a delay, or so many each second. With --job it prints the job's id, and does not
    wait.
    """
    selection = parse_sweep(task_ids, options)
    if selection is None:
        return for_each(task_ids, lambda task_id: _print(client.retry(task_id), output))
    return sweep(client.retry_matching, RETRY, selection, output, start=client.start_job)


@task.command(epilog=_RESCHEDULE_EPILOG)
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--now", is_flag=True, help="Due at once: skip the delay, or the pause before a retry."
)
@click.option("--run-at", type=Moment(), help="Not before this time.")
@click.option(
    "--delay-s",
    type=Seconds(TASK_FIELDS["delay_s"].least, TASK_FIELDS["delay_s"].most),
    metavar="S",
    help="Not before so many seconds from now.",
)
@click.option(
    "--priority",
    type=Whole(TASK_FIELDS["priority"].least, TASK_FIELDS["priority"].most),
    metavar="N",
    help="0 to 9, the most urgent.",
)
@click.option("--queue", metavar="NAME", help="The queue where it waits from now on.")
@over_http(has_quiet=True)
def reschedule(
    *,
    task_ids: tuple[str, ...],
    now: bool,
    client: TaskmillClient,
    output: Output,
    **options: Any,  # noqa: ANN401 - the changes, checked by the service
) -> int:
    """Change when and where waiting tasks run: their due time, priority or queue.

    Tasks that run or have ended are refused.
    """
    changes: Rescheduled = given(options)  # type: ignore[assignment]  # names are the options above
    if now and {"run_at", "delay_s"} & set(changes):
        raise click.UsageError("--now is a due time of its own: leave out --run-at and --delay-s")
    if now:
        changes["delay_s"] = 0
    if not changes:
        raise click.UsageError("expected --now, --run-at, --delay-s, --priority or --queue")
    return for_each(task_ids, lambda task_id: _print(client.reschedule(task_id, **changes), output))


def _print(changed: TaskView, output: Output) -> None:
    """Print a task's new state at once: the next one may take a while."""
    output.item(changed, _state_lines)
    show.flush()


def _state_lines(changed: TaskView) -> Lines:
    is_stopping = changed.cancel_requested and changed.status is Status.IN_PROGRESS
    stopping = show.dim("it runs; its worker is asked to stop it")
    return [(str(changed.id), stopping if is_stopping else show.status(changed.status))]


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


_COLUMNS = Columns(
    headings=("ID", "STATUS", "NAME", "QUEUE", "TYPE", "ATTEMPT", "CREATED"),
    row=_row,
    cut="NAME",
    empty="no tasks",
    dispensable=("TYPE", "ATTEMPT", "QUEUE", "CREATED"),
)
