-- Purpose: since when the oldest due task of each type in some queues has waited; types without one are left out.
-- A task waits at the earliest since its creation, the time in its id (its due time may be years before); an id of
-- a clock that is ahead counts as made now.
-- $1 text[] queues; $2 integer: most buckets to read in all of them, shared out evenly.
-- Reads only; one probe of dispatch_bucket for each bucket, and one more for each queue: its cost depends neither
-- on what waits nor on other queues, and is bounded by $2, or the number of queues if that is more.
WITH RECURSIVE bucket AS (
    SELECT first.queue, first.type, first.priority, first.run_at, first.task_id, 1 AS number
    FROM unnest($1::text[]) AS wanted (name)
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority, d.run_at, d.task_id
        FROM taskmill.dispatch AS d
        WHERE d.queue = wanted.name
        ORDER BY d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS first
    UNION ALL
    SELECT next.queue, next.type, next.priority, next.run_at, next.task_id, bucket.number + 1
    FROM bucket
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority, d.run_at, d.task_id
        FROM taskmill.dispatch AS d
        WHERE d.queue = bucket.queue AND (d.type, d.priority) > (bucket.type, bucket.priority)
        ORDER BY d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
    WHERE bucket.number < $2::integer / cardinality($1::text[])
)
SELECT
    queue, type, min(since) AS oldest_due_at,
    extract(epoch FROM now() - min(since))::double precision AS due_for_s
FROM bucket
CROSS JOIN LATERAL (
    SELECT
        greatest(
            run_at,
            least(
                now(),
                to_timestamp(0)
                    + ('x' || left(replace(task_id::text, '-', ''), 12))::bit(48)::bigint * interval '1 millisecond'
            )
        ) AS since
) AS waiting
WHERE run_at <= now()
GROUP BY queue, type
