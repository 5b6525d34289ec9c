-- Purpose: every lane (queue, type, priority) in which a task waits in an unpaused queue, and when its first
-- task is due.
-- Reads only. A loose index scan over dispatch_lane: its cost is the number of lanes, not of tasks; and of rows that
-- were deleted while somebody's old snapshot is open (0.09 µs each, 2026-11-26).
WITH RECURSIVE lane AS (
    (
        SELECT queue, type, priority, run_at, task_id
        FROM taskmill.dispatch
        ORDER BY queue, type, priority, run_at, task_id
        LIMIT 1
    )
    UNION ALL
    SELECT next.queue, next.type, next.priority, next.run_at, next.task_id
    FROM lane
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority, d.run_at, d.task_id
        FROM taskmill.dispatch AS d
        WHERE (d.queue, d.type, d.priority) > (lane.queue, lane.type, lane.priority)
        ORDER BY d.queue, d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
)
SELECT
    lane.queue, lane.type, lane.priority, lane.run_at,
    extract(epoch FROM lane.run_at - clock_timestamp())::double precision AS due_in_s
FROM lane
WHERE NOT EXISTS (
    SELECT FROM taskmill.queue WHERE name = lane.queue AND paused_at IS NOT NULL
)
