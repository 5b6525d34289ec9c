-- Purpose: how many tasks of each queue are released to the broker and not yet claimed.
-- $1 text[] queues (null: all); $2 double precision: for how many seconds a release holds; $3 integer: most
-- buckets to read in all queues, $4 integer: most rows to read in all buckets: both are shared out evenly, so the
-- result may be too low where there are very many; $5 integer: most rows in one bucket.
-- Reads only. A loose index scan over each queue's part of dispatch_bucket, then the first rows of each bucket in
-- its order, which is the order of releases: its cost is bounded, whatever waits.
WITH RECURSIVE wanted AS MATERIALIZED (
    SELECT name, CASE WHEN resumed_at <= now() THEN resumed_at END AS resumed_at FROM taskmill.queue
    WHERE $1::text[] IS NULL OR name = ANY($1)
),
bucket AS (
    SELECT first.queue, first.type, first.priority, wanted.resumed_at, 1 AS number
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority
        FROM taskmill.dispatch AS d
        WHERE d.queue = wanted.name
        ORDER BY d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS first
    UNION ALL
    SELECT next.queue, next.type, next.priority, bucket.resumed_at, bucket.number + 1
    FROM bucket
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority
        FROM taskmill.dispatch AS d
        WHERE d.queue = bucket.queue AND (d.type, d.priority) > (bucket.type, bucket.priority)
        ORDER BY d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
    WHERE bucket.number < $3::integer / (SELECT count(*) FROM wanted)
),
scanned AS MATERIALIZED (
    SELECT queue, type, priority, resumed_at FROM bucket
)
SELECT scanned.queue, sum(released.tasks)::bigint AS tasks
FROM scanned
CROSS JOIN LATERAL (
    SELECT count(*) AS tasks
    FROM (
        SELECT d.released_at
        FROM taskmill.dispatch AS d
        WHERE d.queue = scanned.queue
            AND d.type = scanned.type
            AND d.priority = scanned.priority
            AND d.run_at <= now()
        ORDER BY d.run_at, d.task_id
        LIMIT (SELECT least($5::integer, 1 + $4::integer / greatest(count(*), 1)) FROM scanned)
    ) AS first
    WHERE first.released_at > greatest(now() - make_interval(secs => $2), scanned.resumed_at)
) AS released
GROUP BY scanned.queue
HAVING sum(released.tasks) > 0
