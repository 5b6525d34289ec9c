-- Purpose: what runs under a lease of a worker that pulls over HTTP. $1 uuid.
-- Reads only; relies on the primary keys of lease and task: a remote lease names all its tasks.
SELECT
    t.id, t.lease_id, t.claim_no, t.queue, t.type, t.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    t.cancel_requested, t.timeout_s, l.worker,
    greatest(date_part('epoch', clock_timestamp() - t.started_at), 0) AS ran_s
FROM taskmill.lease AS l
JOIN taskmill.task AS t ON t.id = ANY(l.task_ids) AND t.lease_id = l.id
WHERE l.id = $1 AND l.remote
