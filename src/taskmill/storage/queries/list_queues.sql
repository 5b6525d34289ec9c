-- Purpose: all queues, whether they are paused, and when their oldest due task became due.
-- Reads only; the oldest per queue comes from one probe of dispatch_lane per lane.
WITH RECURSIVE lane AS (
    (
        SELECT queue, type, priority, run_at
        FROM taskmill.dispatch
        ORDER BY queue, type, priority, run_at, task_id
        LIMIT 1
    )
    UNION ALL
    SELECT next.queue, next.type, next.priority, next.run_at
    FROM lane
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority, d.run_at
        FROM taskmill.dispatch AS d
        WHERE (d.queue, d.type, d.priority) > (lane.queue, lane.type, lane.priority)
        ORDER BY d.queue, d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
),
oldest AS MATERIALIZED (
    SELECT queue, min(run_at) AS run_at FROM lane WHERE run_at <= now() GROUP BY queue
)
SELECT
    q.name, q.paused_at, q.created_at,
    (SELECT oldest.run_at FROM oldest WHERE oldest.queue = q.name) AS oldest_due_at
FROM taskmill.queue AS q
ORDER BY q.name
