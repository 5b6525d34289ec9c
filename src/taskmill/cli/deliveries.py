"""Prints deliveries of webhooks and callbacks, and has the command for a task's callback."""

from typing import assert_never

import click

from taskmill.cli import show
from taskmill.cli.output import Columns, Lines, Output
from taskmill.cli.server import over_http
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.webhooks import DeliveryView
from taskmill.domain.webhooks import DeliveryState


@click.command()
@click.argument("task_id", metavar="ID")
@over_http()
def deliveries(*, task_id: str, client: TaskmillClient, output: Output) -> None:
    """Show the deliveries of a task's callback: one for each time that the task ended."""
    found = client.callback(task_id)
    if output.as_json:
        show.json_lines([found])
    elif found.callback_url is None:
        show.note("it has no callback: only webhooks report its end")
    elif found.items:
        output.items(found.items, COLUMNS)
    else:
        show.note(f"nothing was delivered yet: its end is reported to {found.callback_url}")


def delivery_lines(item: DeliveryView) -> Lines:
    """Return the line of one requested delivery."""
    return [(str(item.id), _state(item))]


def _row(item: DeliveryView) -> tuple[show.Cell, ...]:
    return (
        str(item.id),
        _state(item),
        "test" if item.task_id is None else str(item.task_id),
        str(item.attempts),
        "-" if item.response_status is None else str(item.response_status),
        show.age(item.created_at),
        "-" if item.next_at is None else show.age(item.next_at),
        item.trouble or "",
    )


def _state(item: DeliveryView) -> show.Cell:
    match item.state:
        case DeliveryState.DELIVERED:
            return show.good("delivered")
        case DeliveryState.FAILED:
            return show.failure("failed")
        case DeliveryState.PENDING:
            return show.warning("pending")
        case _:
            assert_never(item.state)


COLUMNS = Columns(
    headings=("ID", "STATE", "TASK", "TRIES", "RESPONSE", "MADE", "NEXT", "TROUBLE"),
    row=_row,
    cut="TROUBLE",
    empty="nothing is delivered",
    dispensable=("NEXT", "MADE", "TRIES", "RESPONSE"),
    numbers=("ID", "TRIES", "RESPONSE"),
    texts=("TROUBLE",),
)
