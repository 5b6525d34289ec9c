-- Purpose: the facts of attempts whose fences were sent by workers that pull over HTTP, if the fences hold.
-- $1 uuid[] tasks, $2 uuid[] leases, $3 integer[] claims. Reads only; relies on the primary keys of task and
-- lease.
SELECT
    t.id, t.lease_id, t.claim_no, t.queue, t.type, t.attempt, t.max_attempts, t.losses, t.max_losses, t.retry,
    t.cancel_requested, t.timeout_s, l.worker,
    greatest(date_part('epoch', clock_timestamp() - t.started_at), 0) AS ran_s
FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS wanted (id, lease_id, claim_no)
JOIN taskmill.task AS t
    ON t.id = wanted.id AND t.lease_id = wanted.lease_id AND t.claim_no = wanted.claim_no
JOIN taskmill.lease AS l ON l.id = wanted.lease_id AND l.remote
