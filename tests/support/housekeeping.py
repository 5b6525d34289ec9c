"""The duties that drop and prune what is old, as tests run them by hand."""

from collections.abc import Mapping
from datetime import timedelta

from taskmill.maintenance.retention import Duty, Retention
from taskmill.storage.week_archive import WeekArchive
from tests.support.stage import Stage


def duties(
    stage: Stage, *, keep_tasks: timedelta = timedelta(days=365), archive: WeekArchive | None = None
) -> Mapping[str, Duty]:
    """Return the duties by their names. Changes are kept for a week."""
    return Retention(
        stage.maintenance_database,
        clock=stage.clock,
        keep_tasks=keep_tasks,
        keep_changes=timedelta(days=7),
        keep_rejections=timedelta(days=30),
        keep_audit=timedelta(days=365),
        keep_fires=timedelta(days=90),
        archive=archive,
    ).duties()


async def housekeeping(stage: Stage, *, keep_tasks: timedelta = timedelta(days=365)) -> bool:
    """Run one round of each duty; True when there is more to do at once."""
    return any([await duty() for duty in duties(stage, keep_tasks=keep_tasks).values()])
