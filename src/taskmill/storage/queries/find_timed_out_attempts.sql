-- Purpose: running tasks of workers that pull over HTTP whose attempt has run longer than its timeout. $1 integer
-- limit.
-- Reads only; relies on lease_timeout, in which such leases come first, and on the primary keys of running and task;
-- LIMIT has the former looked up for each task that a lease names.
-- They are ended under their fence (end_attempts).
SELECT
    t.id, r.lease_id, r.claim_no, t.queue, t.type, r.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    r.cancel_requested_at IS NOT NULL AS cancel_requested, t.timeout_s, l.worker,
    greatest(date_part('epoch', clock_timestamp() - r.started_at), 0) AS ran_s
FROM taskmill.lease AS l
CROSS JOIN LATERAL unnest(l.task_ids) AS named (id)
CROSS JOIN LATERAL (
    SELECT task_id, lease_id, claim_no, attempt, started_at, cancel_requested_at FROM taskmill.running
    WHERE task_id = named.id AND lease_id = l.id
    LIMIT 1
) AS r
JOIN taskmill.task AS t ON t.id = r.task_id AND r.started_at + make_interval(secs => t.timeout_s) <= now()
WHERE l.timeout_at <= now() AND l.closed_at IS NULL
ORDER BY l.timeout_at
LIMIT $1
