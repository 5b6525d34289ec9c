-- Purpose: about how many due tasks of a queue go before one: those of a higher priority, and those of the same
-- priority that are due earlier. $1 text queue, $2 text[] types that go to the same workers (null: all), $3
-- smallint priority, $4 timestamptz run_at, $5 uuid task id; $6 integer: most tasks to count, $7 integer: most
-- buckets to read.
-- Reads only. A loose index scan over the queue's part of dispatch_bucket, then an index scan from the head of
-- each bucket, the most urgent first, up to the task: its cost is bounded by $6 and $7, not by what waits. Tasks
-- that expire before they can be claimed are counted, too: to read `expires_at` would cost a visit of each row.
WITH RECURSIVE bucket AS (
    (
        SELECT type, priority
        FROM taskmill.dispatch
        WHERE queue = $1
        ORDER BY type, priority, run_at, task_id
        LIMIT 1
    )
    UNION ALL
    SELECT next.type, next.priority
    FROM bucket
    CROSS JOIN LATERAL (
        SELECT d.type, d.priority
        FROM taskmill.dispatch AS d
        WHERE d.queue = $1 AND (d.type, d.priority) > (bucket.type, bucket.priority)
        ORDER BY d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
),
scanned AS MATERIALIZED (
    SELECT type, priority FROM bucket LIMIT $7
),
rival AS MATERIALIZED (
    SELECT
        type, priority,
        CASE WHEN priority > $3 THEN now() ELSE $4::timestamptz END AS until_run_at,
        CASE WHEN priority > $3 THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE $5::uuid END AS until_task_id
    FROM scanned
    WHERE priority >= $3 AND ($2::text[] IS NULL OR type = ANY($2))
    ORDER BY priority DESC
)
SELECT
    count(*)::integer AS ahead,
    (SELECT count(*) FROM scanned) = $7 AS has_more_buckets
FROM (
    SELECT FROM rival
    CROSS JOIN LATERAL (
        SELECT
        FROM taskmill.dispatch AS d
        WHERE d.queue = $1
            AND d.type = rival.type
            AND d.priority = rival.priority
            AND (d.run_at, d.task_id) < (rival.until_run_at, rival.until_task_id)
        ORDER BY d.run_at, d.task_id
        LIMIT $6
    ) AS waiting
    LIMIT $6
) AS first
