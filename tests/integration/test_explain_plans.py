"""An explanation costs what it counts, however much waits: on an unanalysed, a full and an emptied `dispatch`."""

from datetime import datetime
from uuid import UUID

import pytest

from taskmill.storage.database import _HOT
from tests.support.long_past import BATCH, RUNNING, WEEKS
from tests.support.plans import check, explaining
from tests.support.stage import Stage

BUCKETS = 1000


async def task_at(stage: Stage, number: int) -> tuple[datetime, UUID]:
    """Return due time and id of the task at a position in q1, from 0."""
    row = await stage.sql.fetchrow(
        "SELECT run_at, task_id FROM taskmill.dispatch WHERE queue = 'q1' AND priority = 1"
        " ORDER BY run_at, task_id OFFSET $1 LIMIT 1",
        number,
    )
    assert row is not None
    return row["run_at"], row["task_id"]


@pytest.mark.parametrize("types", [None, ["emulate"], ["other", "emulate"]])
@pytest.mark.parametrize("number", [0, 49, 33_000])
async def test_counting_what_goes_first_costs_what_is_counted(
    seeded: Stage, number: int, types: list[str] | None
) -> None:
    run_at, task_id = await task_at(seeded, number)
    async with explaining(seeded.database) as session:
        arguments = ("q1", types, 1, run_at, task_id, BATCH, BUCKETS)
        [row], plan = await session.fetch("count_ahead", *arguments)
        assert (row["ahead"], row["has_more_buckets"]) == (min(number, BATCH), False)
        check(plan, rows=row["ahead"] + 10, pages=row["ahead"] + 100)


async def test_more_urgent_buckets_are_read_no_further_than_the_limit(seeded: Stage) -> None:
    run_at, task_id = await task_at(seeded, 49)
    async with explaining(seeded.database) as session:
        await session.connection.execute(
            "UPDATE taskmill.dispatch SET priority = 9 WHERE queue = 'q1' AND run_at > $1", run_at
        )
        arguments = ("q1", None, 1, run_at, task_id, BATCH, BUCKETS)
        [row], plan = await session.fetch("count_ahead", *arguments)
        assert row["ahead"] == BATCH
        check(plan, rows=BATCH + 10, pages=3 * BATCH)


async def test_many_buckets_are_read_up_to_a_limit(seeded: Stage) -> None:
    run_at, task_id = await task_at(seeded, 49)
    async with explaining(seeded.database) as session:
        await session.connection.execute("""
            UPDATE taskmill.dispatch SET type = 't' || lpad(abs(hashtext(task_id::text) % 5000)::text, 4, '0')
            WHERE queue = 'q1'
        """)
        arguments = ("q1", ["t0000", "t4999"], 1, run_at, task_id, BATCH, BATCH)
        [row], plan = await session.fetch("count_ahead", *arguments)
        assert row["has_more_buckets"]
        assert row["ahead"] < 20
        check(plan, rows=2 * BATCH, pages=40 * BATCH)


async def test_facts_of_a_task_cost_little(seeded: Stage) -> None:
    _, waiting = await task_at(seeded, 5)
    ended = await seeded.sql.fetchval(
        "SELECT id FROM taskmill.current_task WHERE status = 'succeeded' LIMIT 1"
    )
    async with explaining(seeded.database) as session:
        for task_id in (waiting, ended):
            [row], plan = await session.fetch("find_explain_snapshot", task_id)
            assert row["is_enqueued"] == (task_id == waiting)
            check(plan, rows=10, pages=30 + 5 * WEEKS)


async def test_running_tasks_are_counted_up_to_a_limit(seeded: Stage) -> None:
    lease = await seeded.open_lease()
    async with explaining(seeded.database) as session:
        await session.connection.execute(RUNNING, lease)
        [row], plan = await session.fetch("count_running", BATCH)
        assert (row["lease_id"], row["running"]) == (lease, BATCH)
        check(plan, rows=BATCH + 10, pages=5 * BATCH + 5 * WEEKS)
        [row], _ = await session.fetch("count_running", 10_000)
        assert row["running"] == 5000


async def test_a_snapshot_leaves_the_planner_as_little_choice_as_the_hot_statements(
    stage: Stage,
) -> None:
    async with stage.database.snapshot() as connection:
        shown = {name: await connection.fetchval(f"SHOW {name}") for name in _HOT}
        assert shown == _HOT
        assert await connection.fetchval("SHOW transaction_isolation") == "repeatable read"
        assert await connection.fetchval("SHOW transaction_read_only") == "on"
    async with stage.database.listing() as connection_for_lists:
        mode = await connection_for_lists.exec_driver_sql("SHOW plan_cache_mode")
        assert mode.scalar() == "force_custom_plan"
