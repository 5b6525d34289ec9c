"""Ended tasks that a queue keeps for its own time, and the duty that deletes them one by one."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from taskmill.domain.lifecycle import Outcome, Succeeded
from taskmill.maintenance.task_pruning import PruneTasks
from tests.support.builders import a_draft
from tests.support.old_weeks import creating_at
from tests.support.stage import Stage

DAY = timedelta(days=1)
DONE = Succeeded()
_KEEP = timedelta(days=365)


def pruning(stage: Stage, keep: timedelta = _KEEP, *, is_archived: bool = False) -> PruneTasks:
    """Return the duty."""
    return PruneTasks(stage.maintenance_database, stage.clock, keep, is_archived=is_archived)


async def a_pass(duty: PruneTasks) -> None:
    """Delete all that may be deleted now."""
    while await duty():
        pass


async def ended(
    stage: Stage, queue: str, number: int = 3, *, ago: timedelta = DAY, outcome: Outcome = DONE
) -> list[UUID]:
    """Create tasks that ended so long ago, and were created just before; return their ids."""
    lease = await stage.open_lease()
    async with creating_at(stage, stage.clock.now() - ago - timedelta(seconds=1)) as creation:
        made = await creation.create_all([a_draft(queue=queue) for _ in range(number)])
    for one in await stage.take(lease, queue=queue):
        await stage.end(one, lease, outcome)
    ids = [one.task.id for one in made]
    await made_older(stage, ids, ago)
    return ids


async def made_older(stage: Stage, ids: Sequence[UUID], by: timedelta) -> None:
    """Let tasks have ended longer ago: the database compares that with its own clock."""
    async with stage.sql.transaction():
        await stage.sql.execute("SET LOCAL session_replication_role = replica")
        for statement in (
            (
                "UPDATE taskmill.task SET finished_at = finished_at - $2::interval, started_at = started_at - $2, "
                "updated_at = updated_at - $2 WHERE id = ANY($1)"
            ),
            (
                "UPDATE taskmill.task_event SET at = at - $2::interval, claimed_at = claimed_at - $2 "
                "WHERE task_id = ANY($1)"
            ),
        ):
            await stage.sql.execute(statement, ids, by)


async def remaining(stage: Stage) -> set[UUID]:
    """Return the ids of all tasks."""
    return {row["id"] for row in await stage.sql.fetch("SELECT id FROM taskmill.task")}
