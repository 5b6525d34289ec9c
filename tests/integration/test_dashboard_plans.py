"""The cost of the dashboard's queries depends on what is shown, however many tasks there are."""

from uuid import UUID

import asyncpg

from taskmill.domain.activity import ActivityRequest, Window
from taskmill.domain.lifecycle import EventType
from taskmill.storage.task_log import LAST_CLAIM
from tests.support.plans import Plan, check as check_plan, explaining
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
            (task_id, version, event, status, run, attempt, losses, claim_no, run_at, claimed_at)
        SELECT $1, 2 * n + 1, 'retry_scheduled', 'new', 1, n, 0, n, now(), now()
        FROM generate_series(1, $2::integer / 2) AS n
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
        assert [row["version"] for row in rows] == list(range(MANY + 1, MANY + 1 - SHOWN, -1))
        rows, plan = await session.fetch(
            "list_latest_log_lines", task_id, 10, SHOWN, 0, LAST_CLAIM, ""
        )
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


# Minutes of 40 queues over 5 hours, before they are folded into longer steps, and deltas.
_MINUTES = """
    WITH made AS (
        INSERT INTO taskmill.task_minute (
            step_s, at, queue, type, created, claimed, succeeded, failed, retry_scheduled, handed_back, lost,
            expired, cancelled, run_again, waiting, waiting_s, running, running_s
        )
        SELECT 60, at, 'q' || queue, 'emulate', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
        FROM generate_series(
            date_bin('1 min', now() - interval '5 hours', '2000-01-01Z'), now(), interval '1 min'
        ) AS at
        CROSS JOIN generate_series(1, 40) AS queue
    )
    INSERT INTO taskmill.task_minute_delta (queue, type, event, bucket, tasks, seconds)
    SELECT 'q' || n % 40 + 1, 'emulate', event, 5, 1, 1
    FROM generate_series(1, 100) AS n
    CROSS JOIN unnest('{created,claimed,succeeded,failed}'::text[]) AS event
"""


async def test_the_activity_of_some_queues_is_read_from_its_window(stage: Stage) -> None:
    await stage.sql.execute(_MINUTES)
    await stage.sql.execute("ANALYZE taskmill.task_minute")
    async with explaining(stage.database) as session:
        arguments = (60, 600.0, ["q1", "q7", "none"], None, None)
        rows, plan = await session.fetch("read_queue_minutes", *arguments)
        assert {row["queue"] for row in rows} == {None, "q1", "q7"}
        assert plan.faults == []
        # The minutes of all queues within the window, and the deltas.
        assert plan.rows_read <= 40 * 12 + 400 + 10
        assert plan.pages <= 40 * 12 + 100


async def test_the_activity_of_some_queues_is_that_of_all_of_them(stage: Stage) -> None:
    await stage.sql.execute(_MINUTES)
    whole = await stage.service.activity(ActivityRequest(window=Window.HOURS_6, queue="q7"))
    found = await stage.service.queue_activity(Window.HOURS_6, ["q7"])
    flow = found.flows["q7"]
    for event_type in (EventType.CREATED, EventType.SUCCEEDED, EventType.FAILED):
        assert flow.counts[event_type] == whole.total.counts[event_type] > 0
    assert flow.waiting.buckets == whole.total.waiting.buckets
    assert flow.running.buckets == whole.total.running.buckets
    assert found.steps == [at for at, _ in whole.points]
    for at, step in whole.points:
        ended = step.counts.get(EventType.SUCCEEDED, 0) + step.counts.get(EventType.FAILED, 0)
        assert found.ended["q7"].get(at, 0) == ended


async def test_the_latest_events_are_read_from_the_end_of_the_feed(stage: Stage) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.change_batch (task_ids, versions, position)"
        " SELECT array_fill(gen_random_uuid(), ARRAY[5]), array_fill(1, ARRAY[5]), n"
        " FROM generate_series(1, $1::integer) AS n",
        MANY,
    )
    await stage.sql.execute("ANALYZE taskmill.change_batch")
    async with explaining(stage.database) as session:
        found, plan = await session.fetch("list_latest_changes", MANY + 1, 0, SHOWN)
        assert [(row["position"], row["ordinal"]) for row in found[:6]] == [
            *((MANY, ordinal) for ordinal in (5, 4, 3, 2, 1)),
            (MANY - 1, 5),
        ]
        check_plan(plan, rows=8 * SHOWN, pages=200)
        found, plan = await session.fetch("list_latest_changes", MANY // 2, 3, 2)
        assert [(row["position"], row["ordinal"]) for row in found] == [
            (MANY // 2, 2),
            (MANY // 2, 1),
        ]
        check_plan(plan, rows=60, pages=100)
