"""The command that prints the feed of changes: past ones, and new ones as they happen."""

from contextlib import closing

import click

from taskmill.cli import show
from taskmill.cli.history import change_facts
from taskmill.cli.output import Lines, Output
from taskmill.cli.server import over_http
from taskmill.client.following import Wanted
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.feed import ChangeView
from taskmill.domain.lifecycle import Status

_OLDEST = "0"
_EPILOG = """\b
Examples:
  taskmill events --follow --queue reports
  taskmill events --status failed --json | jq -r .task_id
  taskmill events --follow --after 4712.1 --json
"""


@click.command(epilog=_EPILOG)
@click.option("--follow", "-f", is_flag=True, help="Go on with new changes; Ctrl-C ends it.")
@click.option("--queue", multiple=True, metavar="QUEUE", help="Only this queue; may be repeated.")
@click.option(
    "--type", "type_", multiple=True, metavar="TYPE", help="Only this type; may be repeated."
)
@click.option(
    "--status",
    multiple=True,
    type=click.Choice([str(status) for status in Status]),
    help="Only changes into this status; may be repeated.",
)
@click.option("--task", multiple=True, metavar="ID", help="Only this task; may be repeated.")
@click.option(
    "--after",
    metavar="CURSOR",
    help="Begin after this change; 0 is before the oldest one there is.  "
    "[default: 0; with --follow the present]",
)
@over_http()
def events(
    *,
    follow: bool,
    queue: tuple[str, ...],
    type_: tuple[str, ...],
    status: tuple[str, ...],
    task: tuple[str, ...],
    after: str | None,
    client: TaskmillClient,
    output: Output,
) -> None:
    """Print what happens to tasks: each change once, in order.

    It reconnects after a lost connection, and misses nothing. With --json, a line's "cursor" is what --after
    takes.
    """
    wanted: Wanted = {"queue": queue, "type": type_, "status": status, "task": task}
    begin = after if after is not None or follow else _OLDEST
    with closing(client.feed(after=begin, follow=follow, **wanted)) as changes:
        for change in changes:
            output.item(change, _lines)
            if follow:
                show.flush()


def _lines(change: ChangeView) -> Lines:
    yield (
        show.dim(show.clock_time(change.at)),
        show.status(change.status, f"{change.event:<16}"),
        str(change.task_id),
        show.dim(change.queue),
        change.name,
        show.fields(change_facts(change)),
    )
