-- Purpose: rescue, second step: running tasks whose lease is closed or missing. $1 integer limit.
-- Reads only; relies on the primary keys of running and task. They are taken back under their fence (end_attempts).
SELECT
    t.id, r.lease_id, r.claim_no, t.queue, r.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    r.cancel_requested_at IS NOT NULL AS cancel_requested
FROM taskmill.running AS r
JOIN taskmill.task AS t ON t.id = r.task_id
WHERE NOT EXISTS (SELECT FROM taskmill.lease AS l WHERE l.id = r.lease_id AND l.closed_at IS NULL)
ORDER BY r.task_id
LIMIT $1
