-- Purpose: rescue, second step: running tasks whose lease is closed or missing. $1 integer limit.
-- Reads only; relies on task_status_id. They are taken back under their fence (end_attempts).
SELECT
    t.id, t.lease_id, t.claim_no, t.queue, t.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    t.cancel_requested
FROM taskmill.task AS t
WHERE t.status = 'in_progress'
    AND NOT EXISTS (
        SELECT FROM taskmill.lease AS l WHERE l.id = t.lease_id AND l.closed_at IS NULL
    )
ORDER BY t.id
LIMIT $1
