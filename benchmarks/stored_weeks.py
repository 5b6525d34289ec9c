"""Fills a past week with tasks that have ended, with one statement a table: a million in half a minute."""

from typing import Any

import asyncpg

from taskmill.storage import partitions
from taskmill.storage.database import Database
from taskmill.storage.weeks import Week

# Ids are UUIDv7 of the creation time. $1 and $2: begin and end of the week, $3: how many.
_TASKS = """
WITH born AS (
    SELECT n, $1::timestamptz + ($2::timestamptz - $1) * (n - 0.5)::float8 / $3 AS created_at
    FROM generate_series(1, $3::integer) AS n
)
INSERT INTO taskmill.task (
    id, name, type, payload, queue, priority, final_status, attempt, max_attempts, max_losses,
    run_at, created_at, started_at, finished_at, updated_at, labels, source, version, claim_no
)
SELECT
    (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
        || '7' || lpad(to_hex(n % 4096), 3, '0')
        || to_hex(8 + n % 4) || right(md5(n::text), 15))::uuid,
    'report ' || n, 'emulate', '{"delay_s": 1, "pages": 12}', 'queue-' || n % 10, 4,
    CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'succeeded' END, 1, 1, 3,
    created_at, created_at, created_at, created_at, created_at, '{}', 'rest', 3, 1
FROM born
"""
_EVENTS = """
INSERT INTO taskmill.task_event (
    task_id, version, at, event, status, run, attempt, losses, claim_no, run_at
)
SELECT id, version, finished_at, final_status, final_status, run, attempt, losses, claim_no, run_at
FROM taskmill.task WHERE id >= $1 AND id < $2
"""
_COUNTS = """
INSERT INTO taskmill.task_count (queue, status, tasks, week)
SELECT queue, final_status, count(*), $1::date FROM taskmill.task WHERE id >= $2 AND id < $3 GROUP BY 1, 2
"""


async def store_week(
    database: Database, connection: "asyncpg.Connection[Any]", week: Week, tasks: int
) -> None:
    """Make a week with so many tasks, the last entry of each one's history, and their counters."""
    await partitions.ensure(database, week.start)
    async with connection.transaction():
        # The guards refuse a task that is created as finished.
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(_TASKS, week.start, week.end, tasks)
        await connection.execute(_EVENTS, *week.bounds)
        await connection.execute(_COUNTS, week.monday, *week.bounds)
