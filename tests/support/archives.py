"""Archives of weeks in a folder, and what is in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from taskmill.domain.lifecycle import Succeeded
from taskmill.maintenance.retention import numbering
from taskmill.storage import archive_files
from taskmill.storage.week_archive import WeekArchive
from tests.support.stage import Stage


def an_archive(stage: Stage, folder: Path) -> WeekArchive:
    """Return that of a process of maintenance."""
    return WeekArchive(stage.maintenance_database, folder, stage.clock)


async def run_again(stage: Stage, task_id: UUID) -> None:
    """Have a task run once more, and succeed."""
    lease = await stage.open_lease()
    await stage.service.retry(task_id)
    for taken in await stage.take(lease):
        await stage.end(taken, lease, Succeeded())


async def number_changes(stage: Stage) -> None:
    """Give all changes their positions."""
    number = numbering(stage.maintenance_database)
    while await number():
        pass


def archived(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield all tasks in a folder, as they were archived."""
    for one in archive_files.archived_weeks(folder):
        yield from map(json.loads, archive_files.tasks_of(one.path))
