"""What the dashboard asks the database costs what is shown, however much there is."""

from uuid import UUID

import asyncpg

from tests.support.plans import Plan, explaining
from tests.support.stage import Stage

MANY = 20_000
SHOWN = 200


async def a_long_life(stage: Stage) -> UUID:
    """Create a task that has many entries and many lines, among others."""
    for _ in range(20):
        await stage.created()
    task = await stage.created()
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute(
        """
        INSERT INTO taskmill.task_event
            (task_id, version, at, happening, status, run, attempt, losses, claim_no, run_at)
        SELECT $1, n, now(), 'claimed', 'in_progress', 1, 1, 0, n, now() FROM generate_series(2, $2::integer) AS n
        """,
        task.id,
        MANY,
    )
    await stage.sql.execute(
        """
        INSERT INTO taskmill.task_log (task_id, claim_no, seq, at, level, message)
        SELECT $1, 1, n, now(), 20, 'a line' FROM generate_series(1, $2::integer) AS n
        """,
        task.id,
        MANY,
    )
    return task.id


def check(plan: Plan, rows: list[asyncpg.Record], expected: int) -> None:
    assert len(rows) == expected
    assert plan.faults == []
    assert plan.rows_read <= 2 * expected + 10
    assert plan.pages <= expected + 100


async def test_the_end_of_a_long_life_is_read_from_its_end(stage: Stage) -> None:
    task_id = await a_long_life(stage)
    async with explaining(stage.database) as session:
        rows, plan = await session.fetch("list_latest_events", task_id, SHOWN)
        check(plan, rows, SHOWN)
        assert [row["version"] for row in rows] == list(range(MANY, MANY - SHOWN, -1))
        rows, plan = await session.fetch("list_latest_log_lines", task_id, 10, SHOWN)
        check(plan, rows, SHOWN)
        assert rows[0]["seq"] == MANY


async def test_watching_a_task_reads_one_row_of_each_table(stage: Stage) -> None:
    task_id = await a_long_life(stage)
    async with explaining(stage.database) as session:
        rows, plan = await session.fetch("watch_tasks", [task_id])
        check(plan, rows, 1)
        assert rows[0]["line"] == MANY


async def test_watching_everything_reads_one_row(stage: Stage) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.change_batch (task_ids, versions, position)"
        " SELECT '{}', '{}', n FROM generate_series(1, $1::integer) AS n",
        MANY,
    )
    async with explaining(stage.database) as session:
        rows, plan = await session.fetch("find_feed_bounds")
        check(plan, rows, 1)
