-- Purpose: how many tasks of some queues and types are due. $1 text[] queues and $2 text[] types, pair by pair; $3
-- integer: most to count of each bucket, one more of which means that there are more.
-- Reads only; relies on dispatch_bucket: a probe for each priority, and then only rows that are due.
WITH RECURSIVE bucket AS (
    SELECT wanted.queue, wanted.type, first.priority
    FROM unnest($1::text[], $2::text[]) AS wanted (queue, type)
    CROSS JOIN LATERAL (
        SELECT d.priority FROM taskmill.dispatch AS d
        WHERE d.queue = wanted.queue AND d.type = wanted.type
        ORDER BY d.priority
        LIMIT 1
    ) AS first
    UNION ALL
    SELECT bucket.queue, bucket.type, next.priority
    FROM bucket
    CROSS JOIN LATERAL (
        SELECT d.priority FROM taskmill.dispatch AS d
        WHERE d.queue = bucket.queue AND d.type = bucket.type AND d.priority > bucket.priority
        ORDER BY d.priority
        LIMIT 1
    ) AS next
)
SELECT bucket.queue, bucket.type, sum(due.tasks)::integer AS tasks
FROM bucket
CROSS JOIN LATERAL (
    SELECT count(*) AS tasks
    FROM (
        SELECT FROM taskmill.dispatch AS d
        WHERE d.queue = bucket.queue AND d.type = bucket.type AND d.priority = bucket.priority AND d.run_at <= now()
        LIMIT $3 + 1
    ) AS counted
) AS due
GROUP BY bucket.queue, bucket.type
