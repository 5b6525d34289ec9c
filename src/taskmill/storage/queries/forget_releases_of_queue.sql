-- Purpose: a queue that was paused goes on: take the marks from its due tasks, since the hints that came meanwhile
-- were forgotten. $1 text queue, $2 integer: most rows to look at in each lane.
-- Locks: dispatch (skips what others hold: they claim it, or release it anew).
-- Relies on: dispatch_lane, by a loose scan over the queue's lanes, then the first rows of each lane in its order,
-- which is the order of releases.
WITH RECURSIVE lane AS (
    (
        SELECT type, priority
        FROM taskmill.dispatch
        WHERE queue = $1
        ORDER BY queue, type, priority, run_at, task_id
        LIMIT 1
    )
    UNION ALL
    SELECT next.type, next.priority
    FROM lane
    CROSS JOIN LATERAL (
        SELECT d.type, d.priority
        FROM taskmill.dispatch AS d
        WHERE d.queue = $1 AND (d.type, d.priority) > (lane.type, lane.priority)
        ORDER BY d.queue, d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
),
released AS MATERIALIZED (
    SELECT first.place
    FROM lane
    CROSS JOIN LATERAL (
        SELECT d.ctid AS place, d.released_at
        FROM taskmill.dispatch AS d
        WHERE d.queue = $1
            AND d.type = lane.type
            AND d.priority = lane.priority
            AND d.run_at <= now()
        ORDER BY d.run_at, d.task_id
        LIMIT $2
    ) AS first
    WHERE first.released_at IS NOT NULL
),
locked AS MATERIALIZED (
    SELECT ctid AS place FROM taskmill.dispatch
    WHERE ctid = ANY(ARRAY(SELECT place FROM released))
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE taskmill.dispatch
SET released_at = NULL
WHERE ctid = ANY(ARRAY(SELECT place FROM locked))
RETURNING 1
