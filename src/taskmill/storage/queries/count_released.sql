-- Purpose: how many tasks of each queue are released to the broker and not yet claimed.
-- $1 double precision: for how many seconds a release holds; $2 integer: most rows to look at in each lane.
-- Reads only. A loose index scan over dispatch_lane, then the first rows of each lane in its order, which is
-- the order of releases: its cost is bounded by lanes and $2, not by what waits.
WITH RECURSIVE lane AS (
    (
        SELECT queue, type, priority
        FROM taskmill.dispatch
        ORDER BY queue, type, priority, run_at, task_id
        LIMIT 1
    )
    UNION ALL
    SELECT next.queue, next.type, next.priority
    FROM lane
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority
        FROM taskmill.dispatch AS d
        WHERE (d.queue, d.type, d.priority) > (lane.queue, lane.type, lane.priority)
        ORDER BY d.queue, d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
)
SELECT lane.queue, sum(released.tasks)::bigint AS tasks
FROM lane
CROSS JOIN LATERAL (
    SELECT count(*) AS tasks
    FROM (
        SELECT d.released_at
        FROM taskmill.dispatch AS d
        WHERE d.queue = lane.queue
            AND d.type = lane.type
            AND d.priority = lane.priority
            AND d.run_at <= now()
        ORDER BY d.run_at, d.task_id
        LIMIT $2
    ) AS first
    WHERE first.released_at > now() - make_interval(secs => $1)
) AS released
GROUP BY lane.queue
HAVING sum(released.tasks) > 0
