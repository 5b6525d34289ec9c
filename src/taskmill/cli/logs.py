"""The command that shows what a task's handlers logged, and follows it."""

import time
from collections.abc import Iterator

import click

from taskmill.cli import show
from taskmill.cli.numbers import Whole
from taskmill.cli.output import Lines, Output
from taskmill.cli.server import over_http
from taskmill.client.calls import LARGEST_LOG_PAGE
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.task_log import LogLineView
from taskmill.domain.lifecycle import TERMINAL
from taskmill.domain.task_log import LineLevel

_PAUSE_S = 0.25
# Lines are stored a little after they were written: an ended task may still get some.
_POLLS_AFTER_THE_END = 4
_STYLES = {
    LineLevel.WARNING: show.warning,
    LineLevel.ERROR: show.failure,
    LineLevel.CRITICAL: show.failure,
}

_EPILOG = """\b
Examples:
  taskmill task logs 0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f
  taskmill task logs ID --follow
  taskmill task logs ID --level warning --claim 2 --json
"""


@click.command(epilog=_EPILOG)
@click.argument("task_id", metavar="ID")
@click.option("--follow", is_flag=True, help="Go on until the task has ended.")
@click.option(
    "--level",
    type=click.Choice([str(level) for level in LineLevel]),
    help="Only this level and above.  [default: debug]",
)
@click.option("--claim", type=Whole(min=1), metavar="N", help="Only what claim N logged.")
@over_http()
def logs(
    *,
    task_id: str,
    follow: bool,
    level: str | None,
    claim: int | None,
    client: TaskmillClient,
    output: Output,
) -> None:
    """Show what a task's handlers logged, oldest first. With --json, one object a line.

    The number of stored lines is bounded; where some are missing, a line says how many.
    """
    lines = (
        _followed(client, task_id, claim, level)
        if follow
        else client.logs(task_id, claim=claim, level=level)
    )
    if output.as_json:
        for line in lines:
            show.json_lines([line])
            show.flush()
    elif not _print(lines):
        show.note("nothing was logged")


def _followed(
    client: TaskmillClient, task_id: str, claim: int | None, level: str | None
) -> Iterator[LogLineView]:
    """Yield lines as they come, until the task has ended and no more come."""
    cursor: str | None = None
    polls_left = _POLLS_AFTER_THE_END
    while polls_left:
        has_ended = client.get(task_id).status in TERMINAL
        page = client.log_page(
            task_id, claim=claim, level=level, cursor=cursor, limit=LARGEST_LOG_PAGE
        )
        yield from page.items
        cursor = page.next_cursor
        if page.has_more:
            continue
        polls_left = polls_left - 1 if has_ended and not page.items else _POLLS_AFTER_THE_END
        time.sleep(_PAUSE_S)


def _print(lines: Iterator[LogLineView]) -> bool:
    """Print lines as they come, with a heading where another claim begins; False when there were none."""
    claim_no = 0
    for line in lines:
        if line.claim_no != claim_no:
            claim_no = line.claim_no
            show.line(show.strong(f"claim {claim_no}"))
        for cells in _lines(line):
            show.line(*cells)
    return bool(claim_no)


def _lines(line: LogLineView) -> Lines:
    """Yield a log line, and below it the traceback that came with it."""
    fields = dict(line.fields or {})
    traceback = fields.pop("exception", None)
    level, style = f"{line.level:<8}", _STYLES.get(line.level)
    cells = (
        show.dim(show.clock_time(line.at)),
        style(level) if style else level,
        line.message,
        show.dim(show.fields(fields)),
        show.dim(f"({line.logger})" if line.logger else ""),
    )
    yield tuple(cell for cell in cells if cell)
    for text in str(traceback or "").splitlines():
        yield (show.dim(f"    {text}"),)
