-- Purpose: when the oldest due task of each of some queues became due; queues where nothing is due are left out.
-- $1 text[] queues.
-- Reads only; one probe of dispatch_lane for each of their lanes, and one more for each queue: its cost does not
-- depend on what waits, nor on other queues.
WITH RECURSIVE lane AS (
    SELECT first.queue, first.type, first.priority, first.run_at
    FROM unnest($1::text[]) AS wanted (name)
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority, d.run_at
        FROM taskmill.dispatch AS d
        WHERE d.queue = wanted.name
        ORDER BY d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS first
    UNION ALL
    SELECT next.queue, next.type, next.priority, next.run_at
    FROM lane
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority, d.run_at
        FROM taskmill.dispatch AS d
        WHERE d.queue = lane.queue AND (d.type, d.priority) > (lane.type, lane.priority)
        ORDER BY d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
)
SELECT queue, min(run_at) AS oldest_due_at
FROM lane
WHERE run_at <= now()
GROUP BY queue
