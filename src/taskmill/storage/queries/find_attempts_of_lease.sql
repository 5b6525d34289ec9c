-- Purpose: what a worker runs according to PostgreSQL. $1 uuid lease. Reads all of `running`, and relies on task's
-- primary key.
SELECT
    t.id, r.lease_id, r.claim_no, t.queue, r.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    r.cancel_requested_at IS NOT NULL AS cancel_requested
FROM taskmill.running AS r
JOIN taskmill.task AS t ON t.id = r.task_id
WHERE r.lease_id = $1
