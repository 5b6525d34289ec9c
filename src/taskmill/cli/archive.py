"""`taskmill archive`: the weeks of tasks that were written to files before they were dropped."""

from pathlib import Path
from uuid import UUID

import click

from taskmill.cli import show
from taskmill.cli.output import Columns, Output
from taskmill.cli.server import json_option
from taskmill.domain import identity
from taskmill.domain.errors import ConfigurationError
from taskmill.settings import load
from taskmill.storage import archive_files
from taskmill.storage.archive_files import ArchivedWeek
from taskmill.storage.weeks import Week
from taskmill.wire.basics import format_timestamp

_EPILOG = """\b
Examples:
  taskmill archive list
  taskmill archive show 0199f1c2-7d5e-7000-8000-2f9e11d5a001 | jq
  taskmill archive show 2026w30 | jq -c '.task | [.id, .status]'
"""

_folder_option = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder of the archive.  [default: TASKMILL_RETENTION__ARCHIVE_PATH]",
)


@click.group(epilog=_EPILOG)
def archive() -> None:
    """List and show weeks of tasks that were archived before they were dropped.

    It only reads files, and needs neither a database nor a service. They have the payloads of tasks.
    """


@archive.command("list")
@_folder_option
@json_option
def archive_list(*, folder: Path | None, as_json: bool) -> None:
    """List the archived weeks, the oldest first; files that can't be read are reported, and the status is 1."""
    weeks: list[ArchivedWeek] = []
    errors: list[str] = []
    for path in archive_files.files_in(_folder(folder)):
        try:
            weeks.append(archive_files.archived_week(path))
        except ConfigurationError as error:
            errors.append(str(error))
    if as_json:
        show.json_lines(map(_fields, weeks))
    elif weeks or not errors:
        Output(as_json).items(weeks, _COLUMNS)
    if errors:
        raise click.ClickException("\n".join(errors))


@archive.command("show")
@click.argument("wanted", metavar="ID|WEEK")
@_folder_option
def archive_show(*, wanted: str, folder: Path | None) -> None:
    """Print a task with its history and its log as JSON, or all tasks of a week, one a line.

    ID is that of a task, WEEK as in `taskmill archive list`. A task that was archived twice, as it changed in
    between, is shown as it was last.
    """
    where = _folder(folder)
    if archive_files.is_week(wanted):
        _show_week(where, wanted)
        return
    try:
        task_id = UUID(wanted)
        week = Week.of(identity.created_at(task_id)).suffix
    except (ValueError, OverflowError):
        raise click.UsageError("Give the id of a task, or a week such as 2026w30.") from None
    show.raw_lines([_task_line(where, task_id, week)])


def _show_week(folder: Path, week: str) -> None:
    found = archive_files.archived_weeks(folder, week)
    if not found:
        raise click.ClickException(
            f"week {week} is not in the archive: see `taskmill archive list`"
        )
    for one in found:
        show.raw_lines(archive_files.tasks_of(one.path))


def _task_line(folder: Path, task_id: UUID, week: str) -> str:
    for one in reversed(archive_files.archived_weeks(folder, week)):
        line = archive_files.find_task(one.path, task_id)
        if line is not None:
            return line
    raise click.ClickException(f"task {task_id} is not in the archive; its week is {week}")


def _folder(given: Path | None) -> Path:
    folder = given or load().retention.archive_path
    if folder is None:
        raise click.UsageError(
            "No archive is set: give --folder or TASKMILL_RETENTION__ARCHIVE_PATH."
        )
    return folder


def _fields(one: ArchivedWeek) -> dict[str, object]:
    return {
        "week": one.week,
        "tasks": one.tasks,
        "bytes": one.bytes,
        "written_at": format_timestamp(one.written_at),
        "path": str(one.path),
    }


def _row(one: ArchivedWeek) -> tuple[show.Cell, ...]:
    return (one.week, f"{one.tasks:,}", f"{one.bytes:,}", show.age(one.written_at), one.path.name)


_COLUMNS = Columns(
    headings=("WEEK", "TASKS", "BYTES", "WRITTEN", "FILE"),
    row=_row,
    cut="FILE",
    empty="no week was archived yet",
    numbers=("TASKS", "BYTES"),
)
