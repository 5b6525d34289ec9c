"""The command that explains why a task is where it is."""

from datetime import UTC
from typing import assert_never

import click

from taskmill.cli import show
from taskmill.cli.output import Lines, Output
from taskmill.cli.server import over_http
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.explanations import BlockerView, ExplanationView, TaskTickView
from taskmill.domain.blockers import BlockerName, BlockerState
from taskmill.domain.fires import FireCause

_NAME_WIDTH = max(map(len, BlockerName))
_INDENT = " " * (_NAME_WIDTH + 3)

_EPILOG = """\b
Example:
  taskmill task explain 0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f
"""


@click.command(epilog=_EPILOG)
@click.argument("task_id", metavar="ID")
@over_http()
def explain(*, task_id: str, client: TaskmillClient, output: Output) -> None:
    """Explain why a task is where it is, and what to do.

    First what holds it, and which tick of which schedule made it, if one did; then every possible blocker, in
    order: ✓ is passed, ● holds, · is not reached.
    """
    output.item(client.explain(task_id), _lines)


def _lines(found: ExplanationView) -> Lines:
    yield (str(found.task_id), show.status(found.status), show.strong(found.summary))
    yield (show.dim("→"), found.todo)
    if found.schedule is not None:
        yield _tick(found.schedule)
    yield ()
    for blocker in found.blockers:
        yield from _blocker_lines(blocker, is_first=blocker.blocker is found.blocker)
    if left := [
        blocker.blocker for blocker in found.blockers if blocker.state is BlockerState.NOT_REACHED
    ]:
        yield (show.dim("·"), show.dim(f"not reached: {', '.join(left)}"))


def _tick(made: TaskTickView) -> tuple[show.Cell, ...]:
    """Return the line about the tick for which a schedule made the task."""
    since = (show.dim("(deleted since)"),) if made.deleted else ()
    moment = made.tick.astimezone(UTC).isoformat().replace("+00:00", "Z")
    match made.cause:
        case FireCause.TICK:
            how = f"for its tick at {moment}"
        case FireCause.CATCH_UP:
            how = f"for its missed tick at {moment}"
        case FireCause.BACKFILL:
            how = f"for its tick at {moment}, by a backfill"
        case FireCause.MANUAL:
            how = f"by hand at {moment}"
        case _:
            assert_never(made.cause)
    return (f"made by schedule {made.name}", *since, how)


def _blocker_lines(blocker: BlockerView, *, is_first: bool) -> Lines:
    """Yield the lines of a blocker that was reached; the todo of the first that holds is shown above them."""
    name = f"{blocker.blocker:<{_NAME_WIDTH}}"
    match blocker.state:
        case BlockerState.PASSED:
            yield (show.good("✓"), name, blocker.sentence)
        case BlockerState.HOLDS:
            yield (show.warning("●"), show.strong(name), blocker.sentence)
            if not is_first:
                yield (_INDENT, show.dim("→"), blocker.todo or "")
        case BlockerState.NOT_REACHED:
            return
        case _:
            assert_never(blocker.state)
