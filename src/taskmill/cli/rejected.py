"""The commands for messages that were refused: list, show, resend."""

from collections.abc import Iterator
from itertools import islice

import click

from taskmill.cli import show
from taskmill.cli.numbers import Whole
from taskmill.cli.server import json_option, open_client, url_option
from taskmill.client.errors import NotAccepted
from taskmill.wire.rejections import BodyEncoding, RejectionSummaryView, RejectionView

__all__ = ["rejected"]

_LARGEST_PAGE = 500

_EPILOG = """\b
Examples:
  taskmill queue rejected list
  taskmill queue rejected show ID
  taskmill queue rejected resend ID ID
"""


@click.group(epilog=_EPILOG)
def rejected() -> None:
    """List messages that were refused, see why, and send them again."""


@rejected.command("list")
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
def list_(*, limit: int, show_all: bool, url: str, as_json: bool) -> None:
    """List refused messages, newest first. With --json, one a line."""
    most = None if show_all else limit
    with open_client(url) as client:
        page_size = _LARGEST_PAGE if show_all else min(limit, _LARGEST_PAGE)
        found = islice(client.rejections(page_size=page_size), most)
        if as_json:
            show.json_lines(item.model_dump_json().encode() for item in found)
        else:
            _print_tables(found)


@rejected.command("show")
@click.argument("rejection_id", metavar="ID")
@url_option
@json_option
def show_(*, rejection_id: str, url: str, as_json: bool) -> None:
    """Show a refused message: why it was refused, its properties, and its body."""
    with open_client(url) as client:
        found = client.rejection(rejection_id)
    if as_json:
        show.json_lines([found.model_dump_json().encode()])
        return
    for cells in _lines(found):
        show.line(*cells)


@rejected.command()
@click.argument("rejection_ids", metavar="ID...", nargs=-1, required=True)
@url_option
@json_option
def resend(*, rejection_ids: tuple[str, ...], url: str, as_json: bool) -> int:
    """Send refused messages again; prints the task of each. Repeating it creates no second task.

    A message that is still wrong is refused again; exit status 1 then.
    """
    exit_status = 0
    with open_client(url) as client:
        for rejection_id in rejection_ids:
            try:
                made = client.resend(rejection_id)
            except NotAccepted as error:
                click.echo(f"Error: {rejection_id}: {error}", err=True)
                exit_status = 1
                continue
            if as_json:
                show.json_lines([made.model_dump_json().encode()])
            else:
                show.line(str(made.id), show.status(made.status))
    return exit_status


def _print_tables(items: Iterator[RejectionSummaryView]) -> None:
    """Print page by page: a long list starts at once, and is never in memory as a whole."""
    headings = ("ID", "STATUS", "WHY", "MESSAGE ID", "BYTES", "CAME")
    is_first = True
    while rows := [_row(item) for item in islice(items, _LARGEST_PAGE)]:
        show.table(
            headings,
            rows,
            cut="WHY",
            dispensable=("BYTES", "MESSAGE ID"),
            numbers=("BYTES",),
            with_headings=is_first,
        )
        is_first = False
    if is_first:
        show.note("no message was refused")


def _row(item: RejectionSummaryView) -> tuple[show.Cell, ...]:
    status = show.good("resent") if item.task_id else show.failure(str(item.status))
    return (
        str(item.id),
        status,
        item.problem.detail,
        item.message_id or "-",
        str(item.body_bytes),
        show.age(item.created_at),
    )


def _lines(found: RejectionView) -> Iterator[tuple[show.Cell, ...]]:
    yield (show.strong(str(found.id)),)
    yield _labelled("came", show.age(found.created_at), show.dim(f"by {found.source}"))
    yield _labelled("refused", show.failure(str(found.status)), found.problem.detail)
    for item in (found.problem.errors or ())[1:]:
        yield _labelled("", f"{item.pointer}: expected {item.expected}, got {item.got}")
    if found.redeliveries:
        yield _labelled("came again", f"{found.redeliveries} times")
    if found.task_id:
        yield _labelled("became", show.good(f"task {found.task_id}"))
    yield _labelled("message id", found.message_id or "none")
    if found.properties:
        yield _labelled("properties", show.fields(found.properties))
    is_text = found.body_encoding is BodyEncoding.TEXT
    size = f"{found.body_bytes:,} bytes" + ("" if is_text else ", in base64")
    yield _labelled("body", show.dim(size))
    yield (found.body,)


def _labelled(label: str, *cells: show.Cell) -> tuple[show.Cell, ...]:
    return (show.dim(f"{label:<11}"), *cells)
