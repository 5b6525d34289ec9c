"""The command that explains why a task is where it is."""

from collections.abc import Iterator
from typing import assert_never

import click

from taskmill.cli import show
from taskmill.cli.server import json_option, open_client, url_option
from taskmill.domain.blockers import BlockerName, BlockerState
from taskmill.wire.explanations import BlockerView, ExplanationView

__all__ = ["explain"]

_NAME_WIDTH = max(map(len, BlockerName))
_INDENT = " " * (_NAME_WIDTH + 3)

_EPILOG = """\b
Example:
  taskmill task explain 0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f
"""


@click.command(epilog=_EPILOG)
@click.argument("task_id", metavar="ID")
@url_option
@json_option
def explain(*, task_id: str, url: str, as_json: bool) -> None:
    """Explain why a task is where it is, and what to do.

    First what holds it; then every possible blocker, in order: ✓ is passed, ● holds, · is not reached.
    """
    with open_client(url) as client:
        found = client.explain(task_id)
    if as_json:
        show.json_lines([found.model_dump_json().encode()])
        return
    for cells in _lines(found):
        show.line(*cells)


def _lines(found: ExplanationView) -> Iterator[tuple[show.Cell, ...]]:
    yield (str(found.task_id), show.status(found.status), show.strong(found.summary))
    yield (show.dim("→"), found.todo)
    yield ()
    for blocker in found.blockers:
        yield from _blocker_lines(blocker, is_first=blocker.blocker is found.blocker)
    if left := [
        blocker.blocker for blocker in found.blockers if blocker.state is BlockerState.NOT_REACHED
    ]:
        yield (show.dim("·"), show.dim(f"not reached: {', '.join(left)}"))


def _blocker_lines(blocker: BlockerView, *, is_first: bool) -> Iterator[tuple[show.Cell, ...]]:
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
