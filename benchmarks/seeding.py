"""What a system of 5,000,000 tasks has after 30 days, for scenarios that ask questions of it.

The tasks are of 20 queues and 5 types, some waiting, some running; the roll-up has what 30 days of them leave, and
the deltas of a busy second.
"""

from datetime import UTC, datetime, timedelta

from benchmarks.looking import connected
from benchmarks.producing import producing
from taskmill.storage import partitions

TASKS = 5_000_000

_WAITING, _RUNNING = 100_000, 1_000
_WEEKS = 5

# The youngest tasks wait or run; of the others 90 % succeeded. Ids are UUIDv7 of the creation time.
_SEED_TASKS = """
WITH born AS (
    SELECT
        n,
        now() - interval '30 days' * (1 - n::float8 / $1) AS created_at,
        CASE WHEN n > $1 - $2 THEN 'new' WHEN n > $1 - $2 - $3 THEN 'in_progress'
             WHEN n % 10 = 0 THEN 'failed' ELSE 'succeeded' END AS status
    FROM generate_series(1, $1::integer) AS n
)
INSERT INTO taskmill.task (
    id, name, type, payload, queue, priority, status, attempt, max_attempts, max_losses, run_at, created_at,
    started_at, finished_at, updated_at, labels, source, version, claim_no, lease_id
)
SELECT
    (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
        || '7' || lpad(to_hex(n % 4096), 3, '0')
        || to_hex(8 + n % 4) || right(md5(n::text), 15))::uuid,
    'report ' || n, 'type-' || n / 20 % 5, '{"pages": 12}', 'queue-' || n % 20, 4, status,
    CASE status WHEN 'new' THEN 0 ELSE 1 END, 1, 3, created_at, created_at,
    CASE status WHEN 'new' THEN NULL ELSE created_at END,
    CASE WHEN status IN ('succeeded', 'failed') THEN created_at END, created_at,
    '{}', 'rest', CASE status WHEN 'new' THEN 1 WHEN 'in_progress' THEN 2 ELSE 3 END,
    CASE status WHEN 'new' THEN 0 ELSE 1 END,
    CASE status WHEN 'in_progress' THEN $4::uuid END
FROM born
"""
_SEED_REST = """
INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
SELECT id, queue, type, priority, run_at FROM taskmill.task WHERE status = 'new';

INSERT INTO taskmill.queue (name) SELECT 'queue-' || n FROM generate_series(0, 19) AS n;

INSERT INTO taskmill.task_count (queue, status, tasks)
SELECT queue, status, count(*) FROM taskmill.task GROUP BY queue, status;

INSERT INTO taskmill.task_event (
    task_id, version, at, happening, status, run, attempt, losses, claim_no, run_at
)
SELECT id, 1, created_at, 'created', 'new', 1, 0, 0, 0, run_at FROM taskmill.task
WHERE status IN ('new', 'in_progress')
"""
_LEASE = """
INSERT INTO taskmill.lease (id, worker, queues, types, slots, running, expires_at)
VALUES (gen_random_uuid(), 'benchmark', '{}', '{*}', 1000, 1000, now() + interval '1 day')
RETURNING id
"""
# A row for each queue, type and step of what is kept, and 25 filled buckets in each histogram.
_SEED_MINUTES = """
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
CROSS JOIN generate_series(0, 19) AS queue
CROSS JOIN generate_series(0, 4) AS type
JOIN sample AS waited ON waited.s = (queue + 3 * type) % 50
JOIN sample AS ran ON ran.s = (7 * queue + type) % 50
"""
_SEED_DELTAS = """
INSERT INTO taskmill.task_minute_delta (queue, type, happening, bucket, tasks, seconds)
SELECT 'queue-' || n % 20, 'type-' || n / 20 % 5, happening, 20 + n % 25, 10, 1.5
FROM generate_series(1, 1000) AS n, (VALUES ('claimed'), ('succeeded')) AS h (happening)
"""


async def seed(url: str, tasks: int) -> None:
    """Fill a database with so many tasks, and what belongs to them."""
    async with producing(url) as producer:
        moment = datetime.now(UTC)
        for week in range(_WEEKS + 1):
            await partitions.ensure(producer.process.database, moment - timedelta(weeks=week))
    async with connected(url) as connection:
        # The guards refuse a task that is born finished.
        await connection.execute("SET session_replication_role = replica")
        lease = await connection.fetchval(_LEASE)
        await connection.execute(_SEED_TASKS, tasks, _WAITING, _RUNNING, lease)
        await connection.execute(_SEED_REST)
        await connection.execute(_SEED_MINUTES)
        await connection.execute(_SEED_DELTAS)
        await connection.execute("VACUUM ANALYZE")
    print(f"  {tasks:,} tasks are there", flush=True)
