"""The commands for sessions of the dashboard: who is logged in; log somebody out."""

import click

from taskmill.cli import show
from taskmill.cli.output import Columns, Output
from taskmill.cli.server import for_each, over_http
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.sessions import SessionView

_EPILOG = """\b
Examples:
  taskmill session list
  taskmill session revoke 9b2d6f0e-5c1a-4f3b-8d7e-2a1c0b9f8e7d
"""


@click.group(epilog=_EPILOG)
def session() -> None:
    """See who is logged in to the dashboard, and log somebody out.

    These are the sessions of your API key (TASKMILL_API_KEY); with one that grants admin, those of all keys. A
    session also ends when its key is revoked.
    """


@session.command("list")
@over_http(has_quiet=True)
def list_(*, client: TaskmillClient, output: Output) -> None:
    """List sessions, those that end last first. With --json, one a line."""
    output.items(client.sessions(), _COLUMNS)


@session.command()
@click.argument("session_ids", metavar="ID...", nargs=-1, required=True)
@over_http(has_json=False)
def revoke(*, session_ids: tuple[str, ...], client: TaskmillClient) -> int:
    """End sessions at once: who has one has to log in again."""

    def end(session_id: str) -> None:
        client.end_session(session_id)
        show.line("ended", session_id)

    return for_each(session_ids, end)


def _row(item: SessionView) -> tuple[show.Cell, ...]:
    return (
        str(item.id),
        item.key_name,
        item.key_id,
        show.age(item.created_at),
        show.age(item.used_at),
        show.age(item.ends_at),
    )


_COLUMNS = Columns(
    headings=("ID", "KEY", "KEY ID", "BEGAN", "USED", "ENDS"),
    row=_row,
    cut="KEY",
    empty="nobody is logged in",
    dispensable=("KEY ID", "BEGAN"),
)
