-- Purpose: what runs under a lease of a worker that pulls over HTTP. $1 uuid.
-- Reads only; relies on the primary keys of lease, running and task: a remote lease names all its tasks.
SELECT
    t.id, r.lease_id, r.claim_no, t.queue, t.type, r.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    r.cancel_requested_at IS NOT NULL AS cancel_requested, t.timeout_s, l.worker,
    greatest(date_part('epoch', clock_timestamp() - r.started_at), 0) AS ran_s
FROM taskmill.lease AS l
JOIN taskmill.running AS r ON r.task_id = ANY(l.task_ids) AND r.lease_id = l.id
JOIN taskmill.task AS t ON t.id = r.task_id
WHERE l.id = $1 AND l.remote
