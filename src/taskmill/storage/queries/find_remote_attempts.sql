-- Purpose: the facts of attempts whose fences were sent by workers that pull over HTTP, if the fences hold.
-- $1 uuid[] tasks, $2 uuid[] leases, $3 integer[] claims. Reads only; relies on the primary keys of running,
-- task and lease; LIMIT has the first looked up for each fence.
SELECT
    t.id, r.lease_id, r.claim_no, t.queue, t.type, r.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    r.cancel_requested_at IS NOT NULL AS cancel_requested, t.timeout_s, l.worker,
    greatest(date_part('epoch', clock_timestamp() - r.started_at), 0) AS ran_s
FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS wanted (id, lease_id, claim_no)
CROSS JOIN LATERAL (
    SELECT task_id, lease_id, claim_no, attempt, started_at, cancel_requested_at FROM taskmill.running
    WHERE task_id = wanted.id AND lease_id = wanted.lease_id AND claim_no = wanted.claim_no
    LIMIT 1
) AS r
JOIN taskmill.task AS t ON t.id = r.task_id
JOIN taskmill.lease AS l ON l.id = wanted.lease_id AND l.remote
