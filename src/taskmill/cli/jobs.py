"""The commands for jobs that cancel or retry many tasks in the background: list, show, stop."""

import click

from taskmill.cli import show
from taskmill.cli.output import Columns, Limit, Lines, Output
from taskmill.cli.server import for_each, limit_options, over_http
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.jobs import JobFilterView, JobView
from taskmill.domain.jobs import JobState

_EPILOG = """\b
Examples:
  taskmill task retry --queue reports --job --yes    start one
  taskmill job list
  taskmill job show 01a21058-2f60-7000-9c41-7d0be2a6f318
  taskmill job stop 01a21058-2f60-7000-9c41-7d0be2a6f318
"""


@click.group(epilog=_EPILOG)
def job() -> None:
    """List and stop jobs: cancels and retries of many tasks in the background.

    A job goes on when processes of the service restart. taskmill task retry and taskmill task cancel start one
    with --job; so does the dashboard.
    """


@job.command("list")
@limit_options
@over_http(has_quiet=True)
def list_(*, limit: Limit, client: TaskmillClient, output: Output) -> None:
    """List jobs, newest first. With --json, one a line."""
    output.items(limit.of(client.jobs(page_size=limit.page_size)), _COLUMNS, in_pages=True)


@job.command("show")
@click.argument("job_id", metavar="ID")
@over_http()
def show_(*, job_id: str, client: TaskmillClient, output: Output) -> None:
    """Show a job: how far it is."""
    output.item(client.job(job_id), _lines)


@job.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@over_http()
def stop(*, job_ids: tuple[str, ...], client: TaskmillClient, output: Output) -> int:
    """Stop jobs after their current step; what they have done stays done."""
    return for_each(job_ids, lambda one: output.item(client.stop_job(one), _state_lines))


def _lines(found: JobView) -> Lines:
    yield (show.strong(found.action), _state(found))
    yield show.labelled("id", str(found.id))
    yield show.labelled("tasks", _tasks(found))
    yield show.labelled("done", _done(found))
    if found.per_second is not None:
        yield show.labelled("rate", f"{found.per_second:g}/s")
    if found.first_at is not None:
        yield show.labelled("first due", show.age(found.first_at))
    if found.last_at is not None:
        yield show.labelled("last due", show.age(found.last_at))
    yield show.labelled("started", show.age(found.created_at), show.dim(_by(found.started_by)))
    if found.stop_requested_at is not None:
        asked = show.age(found.stop_requested_at)
        yield show.labelled("stopped", asked, show.dim(_by(found.stop_requested_by)))
    if found.ended_at is not None:
        yield show.labelled("ended", show.age(found.ended_at))


def _state_lines(found: JobView) -> Lines:
    due = "" if found.last_at is None else f"last due {show.age(found.last_at)}"
    yield (str(found.id), _state(found), _done(found), show.dim(due))


def _row(item: JobView) -> tuple[show.Cell, ...]:
    return (
        str(item.id),
        item.action,
        _state(item),
        f"{item.changed + item.cancel_requested:,}",
        _tasks(item),
        item.started_by or "-",
        show.age(item.created_at),
    )


def _state(item: JobView) -> show.Cell:
    match item.state:
        case JobState.RUNNING if item.stop_requested_at is not None:
            return show.warning("stopping")
        case JobState.RUNNING:
            return "running"
        case JobState.DONE:
            return show.good("done")
        case JobState.FAILED:
            return show.failure(item.problem or "failed")
        case JobState.STOPPED | JobState.LIMITED:
            return show.warning(item.state)


def _done(item: JobView) -> str:
    known = item.expected or item.limit
    of = "" if known is None else f" of {known:,}"
    asked = f", {item.cancel_requested:,} running asked to stop" if item.cancel_requested else ""
    return f"{item.changed:,}{of}{asked}"


def _tasks(item: JobView) -> str:
    """Return which tasks it is about, as the options that select them."""
    if item.filter is None:
        return f"{item.picked} picked"
    return " ".join(_selected(item.filter)) or "all"


def _selected(wanted: JobFilterView) -> list[str]:
    given: dict[str, object] = wanted.to_json()
    return [
        f"{name}={value}"
        for name, values in given.items()
        for value in (values if isinstance(values, list) else [values])
        if value is not None
    ]


def _by(name: str | None) -> str:
    return "" if name is None else f"by {name}"


_COLUMNS = Columns(
    headings=("ID", "ACTION", "STATE", "DONE", "TASKS", "BY", "STARTED"),
    row=_row,
    cut="TASKS",
    empty="no jobs",
    dispensable=("BY", "TASKS"),
    numbers=("DONE",),
    texts=("STATE", "TASKS"),
)
