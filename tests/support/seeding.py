"""Fills a database as 30 days of very many tasks would, with SQL alone: millions within a minute or two.

Some tasks wait, some run, of the others 90 % succeeded. The roll-up has what 30 days of them leave, and the deltas
of a busy second: 20 queues are busy with 5 types each, the others with one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from taskmill.settings import DatabaseSettings
from taskmill.storage import partitions
from taskmill.storage.database import Database
from taskmill.storage.name_index import ADVISORY_LOCK

_WEEKS = 5

# The youngest tasks wait or run. Ids are UUIDv7 of the creation time.
_TASKS = """
WITH born AS (
    SELECT
        n,
        now() - interval '30 days' * (1 - n::float8 / $1) AS created_at,
        CASE WHEN n > $1 - $2::integer - $3::integer THEN NULL
             WHEN n % 10 = 0 THEN 'failed' ELSE 'succeeded' END AS status
    FROM generate_series(1, $1::integer) AS n
)
INSERT INTO taskmill.task (
    id, name, type, payload, queue, priority, final_status, attempt, max_attempts, max_losses, run_at, created_at,
    started_at, finished_at, updated_at, labels, source, version, claim_no, error
)
SELECT
    (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
        || '7' || lpad(to_hex(n % 4096), 3, '0')
        || to_hex(8 + n % 4) || right(md5(n::text), 15))::uuid,
    'report ' || n, 'type-' || n / $4::integer % 5, '{"pages": 12}', 'queue-' || n % $4, 4, status,
    CASE WHEN status IS NULL THEN 0 ELSE 1 END, 1, 3, created_at, created_at,
    CASE WHEN status IS NOT NULL THEN created_at END, CASE WHEN status IS NOT NULL THEN created_at END, created_at,
    '{}', 'rest', CASE WHEN status IS NULL THEN 1 ELSE 3 END, CASE WHEN status IS NULL THEN 0 ELSE 1 END,
    CASE status WHEN 'failed' THEN jsonb '{"type": "ReportError", "message": "page 7 has no number"}' END
FROM born
"""
# They are made when the tasks are there: filled row by row, 5,000,000 tasks took over 5 minutes, not 2.
_INDEXES = """
SELECT indexrelid::regclass::text AS name, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS definition
FROM pg_index WHERE indrelid = 'taskmill.task'::regclass AND NOT indisprimary
"""
_RUNNING = """
INSERT INTO taskmill.running (
    task_id, lease_id, claim_no, attempt, version, started_at, queue, run, losses, run_at, claimed_by
)
SELECT id, $1, 1, 1, 2, created_at, queue, 1, 0, run_at, 'benchmark'
FROM taskmill.task WHERE final_status IS NULL ORDER BY id LIMIT $2
"""
_REST = """
INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
SELECT id, queue, type, priority, run_at FROM taskmill.current_task WHERE status = 'new';

INSERT INTO taskmill.queue (name) SELECT DISTINCT queue FROM taskmill.task;

INSERT INTO taskmill.task_count (queue, status, tasks)
SELECT queue, status, count(*) FROM taskmill.current_task GROUP BY queue, status;

INSERT INTO taskmill.task_event (
    task_id, version, at, event, status, run, attempt, losses, claim_no, run_at
)
SELECT id, 1, created_at, 'created', 'new', 1, 0, 0, 0, run_at FROM taskmill.task
WHERE final_status IS NULL
"""
_LEASE = """
INSERT INTO taskmill.lease (id, worker, queues, types, slots, running, expires_at)
VALUES (gen_random_uuid(), 'benchmark', '{}', '{*}', $1::integer, $1, now() + interval '1 day')
RETURNING id
"""
# A row for each queue, type and step that is retained, in the order in which they are made; each histogram has 25
# filled buckets.
_MINUTES = """
WITH sample AS MATERIALIZED (
    SELECT s, sum(taskmill.packed_bucket(3 + (7 * s + 5 * bucket) % 40, bucket::smallint)) AS histogram
    FROM generate_series(0, 49) AS s, LATERAL generate_series(10 + s % 20, 34 + s % 20) AS bucket
    GROUP BY s
)
INSERT INTO taskmill.task_minute (
    step_s, at, queue, type, carried, created, claimed, succeeded, failed, retry_scheduled, handed_back,
    lost, expired, cancelled, run_again, waiting, waiting_s, running, running_s
)
SELECT
    step.s, at, 'queue-' || queue, 'type-' || type,
    step.s < 86400 AND at < now() - make_interval(secs => step.s + 60),
    500, 500, 450, 50, 5, 0, 1, 0, 3, 0, waited.histogram, 900, ran.histogram, 3000
FROM (VALUES (60, 1), (600, 7), (3600, 30), (21600, 30), (86400, 30)) AS step (s, days)
CROSS JOIN LATERAL generate_series(
    date_bin(make_interval(secs => step.s), now(), '2000-01-01 00:00:00+00') - make_interval(days => step.days),
    now(), make_interval(secs => step.s)
) AS at
CROSS JOIN generate_series(0, $1::integer - 1) AS queue
CROSS JOIN LATERAL generate_series(0, CASE WHEN queue < 20 THEN 4 ELSE 0 END) AS type
JOIN sample AS waited ON waited.s = (queue + 3 * type) % 50
JOIN sample AS ran ON ran.s = (7 * queue + type) % 50
ORDER BY at, step.s
"""
_DELTAS = """
INSERT INTO taskmill.task_minute_delta (queue, type, event, bucket, tasks, seconds)
SELECT 'queue-' || n % $1::integer, 'type-' || n / $1 % 5, event, 20 + n % 25, 10, 1.5
FROM generate_series(1, 1000) AS n, (VALUES ('claimed'), ('succeeded')) AS h (event)
"""
# As many kinds in each step of time as are distinguished there, not the same in all of them.
_FAILURES = """
WITH example AS MATERIALIZED (
    SELECT id, created_at FROM taskmill.task WHERE final_status = 'failed' ORDER BY id DESC LIMIT 1
)
INSERT INTO taskmill.failure (step_s, at, type, error, tasks, first_at, last_at, task_id)
SELECT
    step.s, at, 'type-' || kind % 5, 'Error' || kind || ': the report of # has no page #, and was asked for by #',
    1 + kind % 40, at, at + interval '1 minute', example.id
FROM (VALUES (600, 1), (3600, 3), (86400, 30)) AS step (s, days)
CROSS JOIN LATERAL generate_series(
    date_bin(make_interval(secs => step.s), now(), '2000-01-01 00:00:00+00') - make_interval(days => step.days),
    now(), make_interval(secs => step.s)
) WITH ORDINALITY AS steps (at, number)
CROSS JOIN LATERAL (
    SELECT DISTINCT (97 * number + n) % $1::integer AS kind FROM generate_series(1, 200) AS n
) AS kinds
CROSS JOIN example
"""
_FAILURE_DELTAS = """
INSERT INTO taskmill.failure_delta (type, error, task_id)
SELECT
    'type-' || n % 5, 'Error' || n % $1::integer || ': the report of # has no page #, and was asked for by #', id
FROM generate_series(1, 1000) AS n,
    (SELECT id FROM taskmill.task WHERE final_status = 'failed' ORDER BY id DESC LIMIT 1) AS example
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many rows to make. The tasks of each queue are of 5 types."""

    tasks: int
    queues: int = 20
    kinds_of_failures: int = 20
    waiting: int = 100_000
    running: int = 1_000


async def seed(url: str, size: Size) -> None:
    """Fill a migrated, empty database."""
    await _make_partitions(url)
    connection = await asyncpg.connect(url)
    try:
        # Triggers refuse a task that is finished when it is inserted.
        await connection.execute("SET session_replication_role = replica")
        lease = await connection.fetchval(_LEASE, size.running)
        async with without_indexes(connection):
            await connection.execute(_TASKS, size.tasks, size.waiting, size.running, size.queues)
        await connection.execute(_RUNNING, lease, size.running)
        await connection.execute(_REST)
        await connection.execute(_MINUTES, size.queues)
        await connection.execute(_DELTAS, size.queues)
        await connection.execute(_FAILURES, size.kinds_of_failures)
        await connection.execute(_FAILURE_DELTAS, size.kinds_of_failures)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


@asynccontextmanager
async def without_indexes(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[None]:
    """Drop the indexes of `task` but the key, and make them again at the end.

    A service that has just started makes the index of names meanwhile, or waits until this is over.
    """
    # Not a wait in PostgreSQL: that would be a snapshot, for whose end CREATE INDEX CONCURRENTLY waits.
    while not await connection.fetchval(  # noqa: ASYNC110 - another process holds it
        "SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK
    ):
        await asyncio.sleep(0.1)
    indexes = await connection.fetch(_INDEXES)
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    yield
    await connection.execute("SET maintenance_work_mem = '256MB'")
    for index in indexes:
        await connection.execute(index["definition"])
    await connection.execute("SELECT pg_advisory_unlock($1)", ADVISORY_LOCK)


async def _make_partitions(url: str) -> None:
    database = Database(url, DatabaseSettings())
    try:
        moment = datetime.now(UTC)  # noqa: TID251 - the rows are of PostgreSQL's own time, too
        for week in range(_WEEKS + 1):
            await partitions.ensure(database, moment - timedelta(weeks=week))
    finally:
        await database.close()
