"""`taskmill audit`: who asked for what."""

from datetime import datetime

import click

from taskmill.cli import show
from taskmill.cli.output import Columns, Limit, Output
from taskmill.cli.parameters import Moment
from taskmill.cli.server import given, limit_options, over_http
from taskmill.client.calls import AuditFilters
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.audit import ActorView, AuditEntryView
from taskmill.domain.audit import AuditAction, AuditOutcome

_EPILOG = """\b
Examples:
  taskmill audit
  taskmill audit --target default --since 2026-11-29
  taskmill audit --action tasks.cancel --json
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--action", type=click.Choice([action.value for action in AuditAction]), help="Only this."
)
@click.option("--actor", metavar="NAME|ADDRESS", help="By this key, user or client.")
@click.option("--target", metavar="ID|NAME", help="About this task, queue, worker, …")
@click.option("--since", type=Moment(), help="From this time on.")
@click.option("--until", type=Moment(), help="Before this time.")
@limit_options
@over_http()
def audit(
    *,
    limit: Limit,
    client: TaskmillClient,
    output: Output,
    **wanted: str | datetime | None,
) -> None:
    """List what operators asked for, newest first: who, what, and how it ended. With --json, one a line."""
    filters: AuditFilters = given(wanted)  # type: ignore[assignment]  # names are the options above
    found = client.audit(page_size=limit.page_size, **filters)
    output.items(limit.of(found), _COLUMNS, in_pages=True)


def _row(item: AuditEntryView) -> tuple[show.Cell, ...]:
    return (
        show.age(item.at),
        item.action,
        "-" if item.target is None else item.target.id,
        _outcome(item),
        _actor(item.actor),
        ", ".join(f"{name}={value}" for name, value in item.details.items()) or "-",
    )


def _outcome(item: AuditEntryView) -> show.Cell:
    match item.outcome:
        case AuditOutcome.DONE:
            return show.good("done")
        case AuditOutcome.UNKNOWN:
            return show.warning("unknown")
        case AuditOutcome.REFUSED | AuditOutcome.FAILED:
            return show.failure(item.reason or item.outcome)


def _actor(actor: ActorView) -> str:
    return actor.name or actor.address or actor.kind


_COLUMNS = Columns(
    headings=("AGO", "ACTION", "TARGET", "OUTCOME", "BY", "DETAILS"),
    row=_row,
    cut="DETAILS",
    empty="nothing was asked for",
    dispensable=("DETAILS", "BY"),
    texts=("OUTCOME", "DETAILS"),
)
