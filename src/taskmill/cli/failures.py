"""The commands for kinds of failures: list, show, retry, resolve, ignore, reopen."""

from typing import Any

import click

from taskmill.cli import show
from taskmill.cli.failure_samples import sample_lines
from taskmill.cli.output import Columns, Limit, Lines, Output
from taskmill.cli.server import for_each, given, limit_options, over_http
from taskmill.cli.sweeping import (
    RETRY,
    SweepOptions,
    asking_options,
    filters_of,
    kind_filter_options,
    plan_options,
    sweep,
)
from taskmill.client.failures import FailureFilters
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.failures import CountOf, FailureKindDetails, FailureKindView
from taskmill.domain.activity import Window
from taskmill.domain.failures import WINDOWS, KindOrder, KindState

_EPILOG = """\b
Examples:
  taskmill failure list
  taskmill failure list --window 7d --order newest
  taskmill failure list --queue mail --text timeout
  taskmill failure show 5d41402abc4b2a76
  taskmill failure retry 5d41402abc4b2a76 --delay-s 600 --per-second 10
  taskmill failure resolve 5d41402abc4b2a76
"""
_MOST_TYPES = 3
_MOST_COUNTS = 10


@click.group(epilog=_EPILOG)
def failure() -> None:
    """List what fails, by kind: class and place of the error, or the first line of its message.

    A kind that is resolved comes back when it fails again; an ignored one does not.
    """


_window_option = click.option(
    "--window",
    type=click.Choice([window.value for window in WINDOWS]),
    default=Window.DAY.value,
    show_default=True,
    help="Of what failed since then.",
)


@failure.command("list")
@_window_option
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


@failure.command("show")
@click.argument("kind_id", metavar="ID")
@_window_option
@click.option(
    "--task", metavar="ID", help="The task to show as the example.  [default: the newest]"
)
@over_http()
def show_(
    *, kind_id: str, window: str, task: str | None, client: TaskmillClient, output: Output
) -> None:
    """Show a kind: how many failed where and since when, what these tasks have in common, and an example.

    The example's payload is compared with that of a task of its type that succeeded. With --json, the kind as one
    object with the rest in "sample".
    """
    found = client.failure(kind_id, window=window)
    sample = client.failure_sample(kind_id, window=window, task=task)
    if output.as_json:
        show.json_lines([{**found.to_json(), "sample": sample.to_json()}])
        return
    for cells in (*_lines(found), *sample_lines(sample)):
        show.line(*cells)


@failure.command()
@click.argument("kind_id", metavar="ID")
@kind_filter_options
@plan_options
@asking_options
@over_http(has_quiet=True)
def retry(
    *,
    kind_id: str,
    dry_run: bool,
    yes: bool,
    job: bool,
    client: TaskmillClient,
    output: Output,
    **options: Any,  # noqa: ANN401 - see the options
) -> int:
    """Run the tasks again that are still failed in this way: all of them, or the oldest.

    It counts them first and asks for confirmation. They are due at once, or after a delay, or so many each second.
    With --job it prints the job's id, and does not wait.
    """
    selected = {**filters_of(options), "error": client.failure(kind_id).kind}
    how = SweepOptions(selected=selected, dry_run=dry_run, yes=yes, job=job)  # type: ignore[arg-type]  # names are the options above
    return sweep(client.retry_matching, RETRY, how, output, start=client.start_job)


@failure.command()
@click.argument("kind_ids", metavar="ID...", nargs=-1, required=True)
@over_http()
def resolve(*, kind_ids: tuple[str, ...], client: TaskmillClient, output: Output) -> int:
    """Note that kinds are resolved; one that fails again has come back."""
    return for_each(kind_ids, lambda one: output.item(client.resolve_failure(one), _decided))


@failure.command()
@click.argument("kind_ids", metavar="ID...", nargs=-1, required=True)
@over_http()
def ignore(*, kind_ids: tuple[str, ...], client: TaskmillClient, output: Output) -> int:
    """Ignore kinds, whatever fails so."""
    return for_each(kind_ids, lambda one: output.item(client.ignore_failure(one), _decided))


@failure.command()
@click.argument("kind_ids", metavar="ID...", nargs=-1, required=True)
@over_http()
def reopen(*, kind_ids: tuple[str, ...], client: TaskmillClient, output: Output) -> int:
    """Note that kinds are neither resolved nor ignored."""
    return for_each(kind_ids, lambda one: output.item(client.reopen_failure(one), _decided))


def _decided(found: FailureKindDetails) -> Lines:
    yield (found.id, _state(found.state), found.kind)


def _lines(found: FailureKindDetails) -> Lines:
    yield (show.strong(found.kind),)
    yield show.labelled("id", found.id)
    if found.message:
        yield show.labelled("message", found.message)
    yield show.labelled("state", _state(found.state), show.dim(_by(found)))
    yield show.labelled("failed", f"{found.tasks:,}")
    yield show.labelled("first", show.age(found.first_at))
    yield show.labelled("last", show.age(found.last_at), show.dim(f"task {found.task_id}"))
    yield show.labelled("queues", _counts(found.queue_counts))
    yield show.labelled("types", _counts(found.type_counts))


def _by(found: FailureKindDetails) -> str:
    return "" if found.state_at is None else f"{show.age(found.state_at)} by {found.state_by}"


def _counts(counts: list[CountOf]) -> str:
    shown = [f"{one.name} {one.tasks:,}" for one in counts[:_MOST_COUNTS]]
    more = len(counts) - _MOST_COUNTS
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "") or "-"


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
