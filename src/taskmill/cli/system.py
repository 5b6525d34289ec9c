"""The commands for the system as a whole: queue, worker, stats."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import assert_never
from uuid import UUID

import click

from taskmill.cli import show
from taskmill.cli.activity import print_activity
from taskmill.cli.output import Columns, Lines, Output
from taskmill.cli.parameters import Span
from taskmill.cli.publishing import publish
from taskmill.cli.rejected import rejected
from taskmill.cli.server import for_each, over_http
from taskmill.cli.waiting import counts_of
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.queues import QueueView
from taskmill.client.views.system import BrokerView, StatsView, WorkerView
from taskmill.domain.activity import Window
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import EXPIRED, BrokerPresence, Liveness, WorkerRequest
from taskmill.domain.waiting import WaitingCount, WaitingState

_STATUSES = tuple(Status)
_STATUS_HEADINGS = tuple(status.value.upper() for status in _STATUSES)
_AFTER_NEW = tuple(status for status in _STATUSES if status is not Status.NEW)
_KEEP_EPILOG = """\b
Examples:
  taskmill queue keep metrics 12h
  taskmill queue keep orders 380d
  taskmill queue keep metrics --default
"""
_QUEUE_NUMBERS = tuple(one.value.upper() for one in (*WaitingState, *_AFTER_NEW))


@click.group()
def queue() -> None:
    """List, pause, resume and delete queues; how long they keep tasks; publish to them; what they refused."""


queue.add_command(publish)
queue.add_command(rejected)


@queue.command("list")
@over_http()
def queue_list(*, client: TaskmillClient, output: Output) -> None:
    """List queues with their tasks by status."""
    output.items(client.queues(), _QUEUE_COLUMNS)


@queue.command()
@click.argument("name")
@over_http()
def pause(*, name: str, client: TaskmillClient, output: Output) -> None:
    """Stop handing out a queue's tasks; running ones go on.

    A queue that does not exist is made, so it can be paused before its first task.
    """
    output.item(client.pause_queue(name), _queue_lines)


@queue.command()
@click.argument("name")
@over_http()
def resume(*, name: str, client: TaskmillClient, output: Output) -> None:
    """Hand out a queue's tasks again."""
    output.item(client.resume_queue(name), _queue_lines)


@queue.command(epilog=_KEEP_EPILOG)
@click.argument("name")
@click.argument("time", type=Span(), required=False)
@click.option("--default", is_flag=True, help="As long as the settings say.")
@over_http()
def keep(
    *, name: str, time: timedelta | None, default: bool, client: TaskmillClient, output: Output
) -> None:
    """Set how long a queue keeps its ended tasks: TIME after their end, such as 3d or 12h.

    Those that ended longer ago are deleted within minutes, with their history and their log. A time longer than
    that of the settings (TASKMILL_RETENTION__TASKS_DAYS) keeps the tasks of other queues no longer.
    """
    if (time is None) is not default:
        raise click.UsageError("Give a time, or --default.")
    output.item(client.keep_tasks(name, time), _keep_lines)


@queue.command("delete")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@over_http(has_json=False)
def queue_delete(*, names: tuple[str, ...], client: TaskmillClient) -> int:
    """Delete queues in which nothing waits or runs; their ended tasks stay.

    A later task makes its queue again. Exit status 1 when one of them could not be deleted.
    """
    return for_each(names, client.delete_queue)


@click.group()
def worker() -> None:
    """List workers; have one take no more tasks, or stop."""


@worker.command()
@click.argument("name")
@over_http()
def quiet(*, name: str, client: TaskmillClient, output: Output) -> None:
    """Ask a worker to take no more tasks; it ends those that it runs.

    NAME is its name or id, as `taskmill worker list` shows it. The request takes a few seconds to arrive.
    """
    output.item(client.quiet_worker(_worker_id(client, name)), _worker_lines)


@worker.command()
@click.argument("name")
@click.option(
    "--when-empty", is_flag=True, help="Only when it runs nothing more, however long that takes."
)
@over_http()
def stop(*, name: str, when_empty: bool, client: TaskmillClient, output: Output) -> None:
    """Ask a worker to end what it runs, and then its process.

    NAME is its name or id. What does not end within its grace time is handed back, and starts again elsewhere.
    With --when-empty it takes no more tasks, and its process ends when it runs nothing more. A supervisor may
    start the process again, as `taskmill up` does.
    """
    changed = client.stop_worker(_worker_id(client, name), when_empty=when_empty)
    output.item(changed, _worker_lines)


@worker.command("resume")
@click.argument("name")
@over_http()
def worker_resume(*, name: str, client: TaskmillClient, output: Output) -> None:
    """Ask a quiet worker to take tasks again. NAME is its name or id."""
    output.item(client.resume_worker(_worker_id(client, name)), _worker_lines)


@worker.command("list")
@over_http()
def worker_list(*, client: TaskmillClient, output: Output) -> None:
    """List workers: what they serve, and how much they run."""
    output.items(client.workers(), _WORKER_COLUMNS)


@click.command()
@click.option(
    "--window",
    type=click.Choice([window.value for window in Window]),
    help="Show what happened in this time: how often, and how long tasks waited and ran.",
)
@click.option(
    "--queue", help=f"Only what happened in this queue ({Window.MINUTES_5} unless --window)."
)
@click.option("--type", "type_", help="Only what happened to this type; the same.")
@over_http()
def stats(
    *,
    window: str | None,
    queue: str | None,
    type_: str | None,
    client: TaskmillClient,
    output: Output,
) -> None:
    """Count tasks by queue and status, and what runs them.

    With --window it shows what happened lately instead. CREATED counts new runs, too; BACK are attempts that were
    handed back or lost their worker. Waiting is from when a task was due to its claim, running from there to the
    end of the attempt.
    """
    if queue or type_:
        window = window or Window.MINUTES_5
    found = client.stats(window=window, queue=queue, type=type_)
    if output.as_json:
        show.json_lines([found])
    elif found.activity is not None:
        print_activity(found.activity)
    else:
        _print_counts(found)


def _print_counts(found: StatsView) -> None:
    rows = [(name, *_counts(counts)) for name, counts in sorted(found.by_queue.items())]
    total = [show.strong("all"), *_counts(found.by_status)]
    headings = ("QUEUE", *_STATUS_HEADINGS)
    show.table(headings, [*rows, total], cut="QUEUE", numbers=headings[1:])
    show.line()
    if found.waiting is not None:
        counts = ((counts_of(found.waiting).of(state), state) for state in WaitingState)
        show.line("new:", ", ".join(f"{count} {state}" for count, state in counts))
    show.line(_capacity(found))
    show.line(*_broker(found.broker))


def _queue_lines(changed: QueueView) -> Lines:
    return [(changed.name, _queue_state(changed))]


def _keep_lines(changed: QueueView) -> Lines:
    how_long = f"for {changed.keep}" if changed.keep else "as long as the settings say"
    return [(changed.name, f"keeps ended tasks {how_long}")]


def _queue_state(item: QueueView) -> show.Cell:
    return show.warning("paused") if item.paused else show.good("open")


def _queue_row(item: QueueView) -> tuple[show.Cell, ...]:
    waiting = show.elapsed(item.oldest_due_at) if item.oldest_due_at else "-"
    return (
        item.name,
        _queue_state(item),
        *_waiting(item),
        *_counts(item.counts, _AFTER_NEW),
        waiting,
    )


def _waiting(item: QueueView) -> list[show.Cell]:
    """Return what the new tasks wait for; of a service that does not count that, how many they are."""
    if item.waiting is None:
        return [*_counts(item.counts, (Status.NEW,)), "-", "-", "-"]
    counts = [(state, counts_of(item.waiting).of(state)) for state in WaitingState]
    return [_waiting_count(state, one) for state, one in counts]


def _waiting_count(state: WaitingState, count: WaitingCount) -> show.Cell:
    if not count.tasks:
        return show.dim("0")
    return show.warning(str(count)) if state is WaitingState.HELD else str(count)


_QUEUE_COLUMNS = Columns(
    headings=("QUEUE", "STATE", *_QUEUE_NUMBERS, "LONGEST WAIT"),
    row=_queue_row,
    cut="QUEUE",
    empty="no queues yet: a queue is made by its first task",
    dispensable=("CANCELLED", "SUCCEEDED", "RETRYING", "SCHEDULED", "FAILED"),
    numbers=_QUEUE_NUMBERS,
)


def _worker_row(item: WorkerView) -> tuple[show.Cell, ...]:
    state = show.good(item.state) if item.state == "alive" else show.dim(item.state)
    if item.close_reason == EXPIRED:
        state = show.failure(f"lost, with {item.lost_tasks:,}" if item.lost_tasks else "lost")
    elif item.request and item.state != Liveness.CLOSED:
        is_stopping = item.stop_when_empty or item.request == WorkerRequest.STOP
        state = show.warning("stopping" if is_stopping else item.request)
    return (
        item.name,
        state,
        str(item.running),
        str(item.slots),
        show.few(item.queues) or "all",
        show.few(item.types),
        show.age(item.started_at),
        show.age(item.renewed_at),
    )


_WORKER_COLUMNS = Columns(
    headings=("WORKER", "STATE", "RUNNING", "SLOTS", "QUEUES", "TYPES", "STARTED", "SEEN"),
    row=_worker_row,
    cut="TYPES",
    empty="no workers: start one with `taskmill run worker`",
    dispensable=("SEEN", "QUEUES"),
    numbers=("RUNNING", "SLOTS"),
)


def _worker_id(client: TaskmillClient, name: str) -> str:
    """Return the id of the one live worker of this name; an id stays as it is."""
    with suppress(ValueError):
        return str(UUID(name))
    alive = [one for one in client.workers() if one.name == name and one.state != Liveness.CLOSED]
    if not alive:
        raise click.ClickException(f"no live worker {name}: see `taskmill worker list`")
    if len(alive) > 1:
        ids = ", ".join(str(one.id) for one in alive)
        raise click.ClickException(f"{len(alive)} workers are called {name}: give an id of {ids}")
    return str(alive[0].id)


def _worker_lines(item: WorkerView) -> Lines:
    return [(item.name, show.dim(f"asked to {_request_text(item)}"))]


def _request_text(item: WorkerView) -> str:
    if item.stop_when_empty:
        return "stop when it is empty"
    match item.request:
        case None:
            return "take tasks again"
        case WorkerRequest.STOP:
            return "stop"
        case WorkerRequest.QUIET:
            return "take no more tasks"


def _counts(
    counts: Mapping[Status, int], statuses: Sequence[Status] = _STATUSES
) -> list[show.Cell]:
    return [
        show.status(status, f"{counts[status]:,}") if counts.get(status) else show.dim("0")
        for status in statuses
    ]


def _number(value: int) -> show.Cell:
    return f"{value:,}" if value else show.dim("0")


def _broker(broker: BrokerView) -> tuple[show.Cell, ...]:
    """Return the state of the broker; without one, what workers do instead."""
    match broker.state:
        case BrokerPresence.OK:
            return ("broker", show.good("ok"))
        case BrokerPresence.AWAY:
            return ("broker", show.failure("away"), broker.trouble or "")
        case BrokerPresence.NONE:
            return ("broker", show.dim("none: workers claim from PostgreSQL"))
        case _:
            assert_never(broker.state)


def _capacity(found: StatsView) -> str:
    workers = f"{found.workers_alive} worker{'' if found.workers_alive == 1 else 's'}"
    return f"{found.total:,} tasks; {workers}, {found.running:,} of {found.slots:,} slots in use"
