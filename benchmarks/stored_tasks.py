"""Fills databases of any size with the same shape: eight weeks of tasks, most of them ended.

Two connections do it at once, each with one statement for its half.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from benchmarks.observing import connected
from benchmarks.producing import producing
from taskmill.storage import partitions
from tests.support.seeding import without_indexes

# Percentages of the tasks, by status.
SHARES = {"succeeded": 70, "failed": 20, "cancelled": 5, "new": 5}

WEEKS = 8
_PARTS = 2
# Out of a hundred tasks: 70 succeeded, 20 failed, 5 cancelled, 5 new. Ids are UUIDv7 of the creation time.
_SEED = """
WITH born AS (
    SELECT
        n,
        $2::timestamptz - make_interval(weeks => $3) * (1 - n::float8 / $1) AS created_at,
        CASE WHEN n % 100 < 70 THEN 'succeeded' WHEN n % 100 < 90 THEN 'failed'
             WHEN n % 100 < 95 THEN 'cancelled' WHEN $6 THEN 'succeeded' ELSE 'new' END AS status
    FROM generate_series($4::integer, $5::integer) AS n
)
INSERT INTO taskmill.task (
    id, name, description, type, payload, queue, priority, final_status, attempt, max_attempts, max_losses,
    run_at, created_at, started_at, finished_at, updated_at, result, error, labels, source, version,
    claim_no, number
)
SELECT
    (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
        || '7' || lpad(to_hex(n % 4096), 3, '0')
        || to_hex(8 + n % 4) || right(md5(n::text), 15))::uuid,
    'report ' || n, 'figures of a region, with charts, for the board', 'emulate',
    '{"delay_s": 1, "pages": 12}', CASE WHEN n % 10 = 0 THEN 'reports' ELSE 'default' END, 4,
    nullif(status, 'new'), CASE WHEN status IN ('succeeded', 'failed') THEN 1 ELSE 0 END, 1, 3,
    created_at, created_at,
    CASE WHEN status IN ('succeeded', 'failed') THEN created_at END,
    CASE WHEN status <> 'new' THEN created_at END, created_at,
    CASE WHEN status = 'succeeded' THEN '{"emulated": true, "delay_s": 1}'::json END,
    CASE WHEN status = 'failed' THEN '{"type": "Failure", "message": "it failed"}'::jsonb END,
    '{}', 'rest', 3, 1, n
FROM born
"""
_WAITING = """
INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
SELECT id, queue, type, priority, run_at FROM taskmill.task WHERE final_status IS NULL
"""
# Numbers have the order of ids, as those of tasks that are created one after the other.
_LAST_NUMBER = "SELECT setval('taskmill.task_number', $1::bigint)"
_COUNT = """
INSERT INTO taskmill.task_count (queue, status, tasks)
SELECT queue, coalesce(final_status, 'new'), count(*) FROM taskmill.task GROUP BY 1, 2
"""


async def store_tasks(url: str, tasks: int, *, is_all_ended: bool = False) -> None:
    """Fill an empty database with so many tasks, most of them ended; with `is_all_ended` all of them."""
    await store_by(_SEED, url, tasks, datetime.now(UTC), is_all_ended)


async def store_by(seed: str, url: str, tasks: int, until: datetime, *more: object) -> None:
    """Fill an empty database by a statement, and with what belongs to its tasks: the queue and the counters.

    Args:
        seed: Inserts tasks, with their numbers. $1 is how many there are in all, $2 the last moment, $3 for how
            many weeks; $4 and $5 are the first and the last number to insert, from $6 on comes `more`.
    """
    async with producing(url) as producer:
        for week in range(WEEKS + 1):
            await partitions.ensure(producer.process.database, until - timedelta(weeks=week))
    step = -(-tasks // _PARTS)
    async with connected(url) as connection:
        async with without_indexes(connection), asyncio.TaskGroup() as group:
            for first in range(1, tasks + 1, step):
                part = (first, min(first + step - 1, tasks))
                group.create_task(_store_part(url, seed, (tasks, until, WEEKS, *part, *more)))
        await connection.execute(_LAST_NUMBER, tasks)
        await connection.execute(_WAITING)
        await connection.execute(_COUNT)
        # What autovacuum does sooner or later: it also empties the pending lists of indexes.
        await connection.execute("VACUUM ANALYZE taskmill.task, taskmill.dispatch")
    print(f"  {tasks:,} tasks are there", flush=True)


async def _store_part(url: str, seed: str, arguments: tuple[object, ...]) -> None:
    async with connected(url) as connection:
        # The guards refuse a task that is created as finished.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(seed, *arguments)
