-- Purpose: rescue, second step: running tasks whose lease is closed or missing. $1 integer limit.
-- Reads only; relies on the primary keys of running and task; LIMIT has the latter looked up. They are taken back
-- under their fence (end_attempts).
SELECT
    t.id, r.lease_id, r.claim_no, t.queue, r.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    r.cancel_requested_at IS NOT NULL AS cancel_requested
FROM taskmill.running AS r
CROSS JOIN LATERAL (
    SELECT id, queue, max_attempts, losses, max_losses, retry FROM taskmill.task
    WHERE id = r.task_id
    LIMIT 1
) AS t
WHERE NOT EXISTS (SELECT FROM taskmill.lease AS l WHERE l.id = r.lease_id AND l.closed_at IS NULL)
ORDER BY r.task_id
LIMIT $1
