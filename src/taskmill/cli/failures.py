"""The commands for kinds of failures: list."""

import click

from taskmill.cli import show
from taskmill.cli.output import Columns, Limit, Output
from taskmill.cli.server import given, limit_options, over_http
from taskmill.client.failures import FailureFilters
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.domain.activity import Window
from taskmill.domain.failures import WINDOWS, KindOrder, KindState
from taskmill.wire.failures import FailureKindView

_EPILOG = """\b
Examples:
  taskmill failure list
  taskmill failure list --window 7d --order newest
  taskmill failure list --queue mail --text timeout
"""
_MOST_TYPES = 3


@click.group(epilog=_EPILOG)
def failure() -> None:
    """List what fails, by kind: class and place of the error, or the first line of its message."""


@failure.command("list")
@click.option(
    "--window",
    type=click.Choice([window.value for window in WINDOWS]),
    default=Window.DAY.value,
    show_default=True,
    help="Of what failed since then.",
)
@click.option("--queue", metavar="NAME", help="Only what failed in this queue.")
@click.option("--type", metavar="NAME", help="Only what failed of this type.")
@click.option("--label", metavar="KEY=VALUE", help="Only kinds of which a task with it failed.")
@click.option("--text", metavar="TEXT", help="Only with this in the kind or its message.")
@click.option(
    "--state", type=click.Choice([state.value for state in KindState]), help="Only these."
)
@click.option(
    "--order",
    type=click.Choice([order.value for order in KindOrder]),
    default=KindOrder.MOST.value,
    show_default=True,
    help="Which come first.",
)
@limit_options
@over_http()
def list_(*, limit: Limit, client: TaskmillClient, output: Output, **wanted: str | None) -> None:
    """List kinds of failures, most failures first. With --json, one a line."""
    filters: FailureFilters = given(wanted)  # type: ignore[assignment]  # names are the options above
    found = client.failures(page_size=limit.page_size, **filters)
    output.items(limit.of(found), _COLUMNS, in_pages=True)


def _row(item: FailureKindView) -> tuple[show.Cell, ...]:
    types = ", ".join(item.types[:_MOST_TYPES])
    more = len(item.types) - _MOST_TYPES
    return (
        item.id,
        f"{item.tasks:,}",
        item.kind,
        types + (f" and {more} more" if more > 0 else ""),
        _state(item.state),
        show.age(item.first_at),
        show.age(item.last_at),
    )


def _state(state: KindState) -> show.Cell:
    name = state.replace("_", " ")
    match state:
        case KindState.CAME_BACK:
            return show.failure(name)
        case KindState.RESOLVED:
            return show.good(name)
        case KindState.OPEN | KindState.IGNORED:
            return name


_COLUMNS = Columns(
    headings=("ID", "TASKS", "KIND", "TYPES", "STATE", "FIRST", "LAST"),
    row=_row,
    cut="KIND",
    empty="nothing has failed so",
    dispensable=("TYPES", "FIRST", "STATE"),
    numbers=("TASKS",),
)
