"""Prints deliveries of webhooks and callbacks, and has the command for a task's callback."""

from collections.abc import Iterator
from itertools import islice
from typing import Final, assert_never

import click

from taskmill.cli import show
from taskmill.cli.server import json_option, open_client, url_option
from taskmill.domain.webhooks import DeliveryState
from taskmill.wire.webhooks import DeliveryView

__all__ = ["LARGEST_PAGE", "deliveries", "print_deliveries", "print_delivery"]

LARGEST_PAGE: Final = 500


@click.command()
@click.argument("task_id", metavar="ID")
@url_option
@json_option
def deliveries(*, task_id: str, url: str, as_json: bool) -> None:
    """Show the deliveries of a task's callback: one for each time that the task ended."""
    with open_client(url) as client:
        found = client.callback(task_id)
    if as_json:
        show.json_lines([found.model_dump_json().encode()])
    elif found.callback_url is None:
        show.note("it has no callback: only webhooks report its end")
    elif found.items:
        print_deliveries(iter(found.items))
    else:
        show.note(f"nothing was delivered yet: its end is reported to {found.callback_url}")


def print_deliveries(
    items: Iterator[DeliveryView], *, as_json: bool = False, quiet: bool = False
) -> None:
    """Print deliveries as they come."""
    if as_json:
        show.json_lines(item.model_dump_json().encode() for item in items)
    elif quiet:
        for item in items:
            show.line(str(item.id))
    else:
        _print_tables(items)


def print_delivery(item: DeliveryView, *, as_json: bool) -> None:
    """Print one requested delivery."""
    if as_json:
        show.json_lines([item.model_dump_json().encode()])
    else:
        show.line(str(item.id), _state(item))


def _print_tables(items: Iterator[DeliveryView]) -> None:
    """Print page by page: a long list starts at once, and is never in memory as a whole."""
    headings = ("ID", "STATE", "TASK", "TRIES", "RESPONSE", "MADE", "NEXT", "TROUBLE")
    is_first = True
    while rows := [_row(item) for item in islice(items, LARGEST_PAGE)]:
        show.table(
            headings,
            rows,
            cut="TROUBLE",
            dispensable=("NEXT", "MADE"),
            numbers=("ID", "TRIES", "RESPONSE"),
            with_headings=is_first,
        )
        is_first = False
    if is_first:
        show.note("nothing is delivered")


def _row(item: DeliveryView) -> tuple[show.Cell, ...]:
    return (
        str(item.id),
        _state(item),
        "test" if item.task_id is None else str(item.task_id),
        str(item.attempts),
        "-" if item.answer is None else str(item.answer),
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
