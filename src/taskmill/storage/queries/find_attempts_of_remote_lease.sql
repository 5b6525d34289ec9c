-- Purpose: what runs under a lease of a worker that pulls over HTTP. $1 uuid.
-- Reads only; relies on the primary keys of lease, running and task: a remote lease names all its tasks, and
-- LIMIT has each of them looked up.
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
JOIN taskmill.task AS t ON t.id = r.task_id
WHERE l.id = $1 AND l.remote
