"""Weeks of tasks from long ago."""

import random
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from taskmill.domain.lifecycle import Succeeded
from taskmill.operations.create import TaskCreation
from taskmill.runtime.ids import IdFactory
from taskmill.storage import partitions, task_log
from taskmill.storage.rights import OWNER
from taskmill.storage.weeks import Week
from tests.support.builders import a_draft, a_key
from tests.support.clocks import ManualClock
from tests.support.log_lines import a_line
from tests.support.stage import Stage, a_creation


def creating_at(stage: Stage, moment: datetime) -> TaskCreation:
    """Return a creation that makes tasks as if it were that moment."""
    ids = IdFactory(ManualClock(moment), random.Random(1))  # noqa: S311 - no secret
    return a_creation(stage.database, stage.clock, ids)


async def rows_in(sql: "asyncpg.Connection[asyncpg.Record]", table: str) -> int:
    rows: int = await sql.fetchval(f"SELECT count(*) FROM taskmill.{table}")  # noqa: S608 - our own names
    return rows


async def made_by_the_release_before(stage: Stage, week: Week) -> None:
    """Make a week as a program does that does not know the log; a migration has given it to the owner since."""
    lower, upper = week.bounds
    for table in ("task", "task_event"):
        name = f"taskmill.{table}_{week.suffix}"
        await stage.sql.execute(
            f"CREATE TABLE {name} PARTITION OF taskmill.{table} FOR VALUES FROM ('{lower}') TO ('{upper}')"
        )
        await stage.sql.execute(f"ALTER TABLE {name} OWNER TO {OWNER}")


async def old_week(
    stage: Stage, *, finished: bool = True, weeks_ago: int = 10
) -> tuple[Week, UUID]:
    """Make a week long past with ten tasks, all finished or all but one."""
    week = Week.of(stage.clock.now()).later(-weeks_ago)
    await partitions.ensure(stage.database, week.start)
    lease = await stage.open_lease()
    async with creating_at(stage, week.start + timedelta(days=1)) as creation:
        made = [
            (
                await creation.create(
                    a_draft(queue=f"q{n % 2}", idempotency=a_key(f"{weeks_ago}/{n}"))
                )
            ).task
            for n in range(10)
        ]
    for taken in await stage.take(lease, limit=10 if finished else 9):
        await task_log.store(stage.database, [a_line(taken, stage)])
        await stage.end(taken, lease, Succeeded())
    return week, made[0].id
