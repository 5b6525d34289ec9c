"""The commands for messages that were refused: list, show, resend."""

import click

from taskmill.cli import show
from taskmill.cli.output import Columns, Limit, Lines, Output
from taskmill.cli.server import for_each, limit_options, over_http
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.rejections import RejectionSummaryView, RejectionView
from taskmill.domain.rejection import BodyEncoding

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
@limit_options
@over_http()
def list_(*, limit: Limit, client: TaskmillClient, output: Output) -> None:
    """List refused messages, newest first. With --json, one a line."""
    found = client.rejections(page_size=limit.page_size)
    output.items(limit.of(found), _COLUMNS, in_pages=True)


@rejected.command("show")
@click.argument("rejection_id", metavar="ID")
@over_http()
def show_(*, rejection_id: str, client: TaskmillClient, output: Output) -> None:
    """Show a refused message: why it was refused, its properties, and its body."""
    output.item(client.rejection(rejection_id), _lines)


@rejected.command()
@click.argument("rejection_ids", metavar="ID...", nargs=-1, required=True)
@over_http()
def resend(*, rejection_ids: tuple[str, ...], client: TaskmillClient, output: Output) -> int:
    """Send refused messages again; prints the task of each. Repeating it creates no second task.

    A message that is still wrong is refused again; exit status 1 then.
    """

    def resend_one(rejection_id: str) -> None:
        made = client.resend(rejection_id)
        output.item(made, lambda made: [(str(made.id), show.status(made.status))])

    return for_each(rejection_ids, resend_one)


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


_COLUMNS = Columns(
    headings=("ID", "STATUS", "WHY", "MESSAGE ID", "BYTES", "CAME"),
    row=_row,
    cut="WHY",
    empty="no message was refused",
    dispensable=("BYTES", "MESSAGE ID"),
    numbers=("BYTES",),
    texts=("WHY",),
)


def _lines(found: RejectionView) -> Lines:
    yield (show.strong(str(found.id)),)
    yield show.labelled("came", show.age(found.created_at), show.dim(f"by {found.source}"))
    yield show.labelled("refused", show.failure(str(found.status)), found.problem.detail)
    for item in (found.problem.errors or ())[1:]:
        yield show.labelled("", f"{item.pointer}: expected {item.expected}, got {item.got}")
    if found.redeliveries:
        yield show.labelled("came again", f"{found.redeliveries} times")
    if found.task_id:
        yield show.labelled("became", show.good(f"task {found.task_id}"))
    yield show.labelled("message id", found.message_id or "none")
    if found.properties:
        yield show.labelled("properties", show.fields(found.properties))
    is_text = found.body_encoding is BodyEncoding.TEXT
    size = f"{found.body_bytes:,} bytes" + ("" if is_text else ", in base64")
    yield show.labelled("body", show.dim(size))
    yield (found.body,)
