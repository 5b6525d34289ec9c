-- Purpose: buckets of unpaused queues whose first task has been due for long, though a worker with free slots has
-- served them for as long. $1 double precision: how long, in seconds; $2 integer: most buckets to read; where to
-- begin: after $3 text queue, $4 text type, $5 smallint priority; $6 timestamptz: as of when, null for now.
-- `is_end`: the last bucket that was read, overdue or not, when there may be more after it.
-- A task waits since it was created or came back: its due time may be years before. Leases of workers that pull
-- over HTTP take no more tasks, however many of theirs have ended.
-- Reads only. A loose index scan over dispatch_bucket, and task's primary key; leases and queues are few.
WITH RECURSIVE bucket AS (
    (
        SELECT queue, type, priority, run_at, task_id, expires_at, 1 AS number
        FROM taskmill.dispatch
        WHERE (queue, type, priority) > ($3::text, $4::text, $5::smallint)
        ORDER BY queue, type, priority, run_at, task_id
        LIMIT 1
    )
    UNION ALL
    SELECT next.queue, next.type, next.priority, next.run_at, next.task_id, next.expires_at, bucket.number + 1
    FROM bucket
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority, d.run_at, d.task_id, d.expires_at
        FROM taskmill.dispatch AS d
        WHERE (d.queue, d.type, d.priority) > (bucket.queue, bucket.type, bucket.priority)
        ORDER BY d.queue, d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
    WHERE bucket.number < $2::integer
),
checked AS (
    SELECT
        bucket.queue, bucket.type, bucket.priority, bucket.task_id,
        extract(
            epoch FROM coalesce($6::timestamptz, now()) - greatest(bucket.run_at, t.updated_at)
        )::double precision AS waited_s,
        bucket.number = $2::integer AS is_end,
        greatest(bucket.run_at, t.updated_at) < coalesce($6::timestamptz, now()) - make_interval(secs => $1)
            AND (bucket.expires_at IS NULL OR bucket.expires_at > coalesce($6::timestamptz, now()))
            AND NOT EXISTS (SELECT FROM taskmill.queue WHERE name = bucket.queue AND paused_at IS NOT NULL)
            AND EXISTS (
                SELECT FROM taskmill.lease AS l
                WHERE l.closed_at IS NULL
                    AND l.expires_at > coalesce($6::timestamptz, now())
                    AND l.started_at < coalesce($6::timestamptz, now()) - make_interval(secs => $1)
                    AND l.running < l.slots
                    AND NOT l.remote
                    AND (cardinality(l.queues) = 0 OR bucket.queue = ANY(l.queues))
                    AND (bucket.type = ANY(l.types) OR '*' = ANY(l.types))
            ) AS is_overdue
    FROM bucket
    LEFT JOIN taskmill.task AS t ON t.id = bucket.task_id
)
SELECT queue, type, priority, task_id, waited_s, is_overdue, is_end
FROM checked
WHERE is_overdue OR is_end
ORDER BY queue, type, priority
