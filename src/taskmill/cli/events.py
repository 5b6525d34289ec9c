"""The command that prints the feed of changes: past ones, and new ones as they happen."""

from collections.abc import Iterator
from contextlib import closing

import click

from taskmill.cli import show
from taskmill.cli.history import change_facts
from taskmill.cli.server import json_option, open_client, url_option
from taskmill.cli.show import Cell
from taskmill.client.following import Wanted
from taskmill.domain.lifecycle import Status
from taskmill.wire.feed import ChangeView

__all__ = ["events"]

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
@url_option
@json_option
def events(
    *,
    follow: bool,
    queue: tuple[str, ...],
    type_: tuple[str, ...],
    status: tuple[str, ...],
    task: tuple[str, ...],
    after: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Print what happens to tasks: each change once, in order.

    It reconnects after a lost connection, and misses nothing. With --json, a line's "cursor" is what --after
    takes.
    """
    wanted: Wanted = {"queue": queue, "type": type_, "status": status, "task": task}
    begin = after if after is not None or follow else _OLDEST
    with (
        open_client(url) as client,
        closing(client.feed(after=begin, follow=follow, **wanted)) as changes,
    ):
        for change in changes:
            if as_json:
                show.json_lines([change.model_dump_json().encode()])
            else:
                show.line(*_cells(change))
            if follow:
                show.flush()


def _cells(change: ChangeView) -> Iterator[Cell]:
    yield show.dim(show.clock_time(change.at))
    yield show.status(change.status, f"{change.event:<16}")
    yield str(change.task_id)
    yield show.dim(change.queue)
    yield change.name
    yield show.fields(change_facts(change))
