-- Purpose: running tasks of workers that pull over HTTP whose attempt has run longer than its timeout. $1 integer
-- limit.
-- Reads only; relies on lease_timeout, in which such leases come first, and on task's primary key. They are ended
-- under their fence (end_attempts).
SELECT
    t.id, t.lease_id, t.claim_no, t.queue, t.type, t.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    t.cancel_requested, t.timeout_s, l.worker,
    greatest(date_part('epoch', clock_timestamp() - t.started_at), 0) AS ran_s
FROM taskmill.lease AS l
JOIN taskmill.task AS t
    ON t.id = ANY(l.task_ids)
    AND t.lease_id = l.id
    AND t.started_at + make_interval(secs => t.timeout_s) <= now()
WHERE l.timeout_at <= now() AND l.closed_at IS NULL
ORDER BY l.timeout_at
LIMIT $1
