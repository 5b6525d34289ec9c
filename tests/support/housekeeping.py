"""The duty that drops and prunes what is old, as tests run it by hand."""

from datetime import timedelta

from taskmill.maintenance.retention import Housekeeping
from tests.support.stage import Stage


def housekeeping(stage: Stage) -> Housekeeping:
    """Tasks are kept for a year, changes for a week."""
    return Housekeeping(
        stage.database,
        clock=stage.clock,
        keep_tasks=timedelta(days=365),
        keep_changes=timedelta(days=7),
        keep_rejections=timedelta(days=30),
    )
