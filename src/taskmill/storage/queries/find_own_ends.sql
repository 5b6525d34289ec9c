-- Purpose: which of these attempts were ended by their own worker, and how: a finish may be sent again when
-- its response was lost. $1 uuid[] tasks, $2 uuid[] leases, $3 integer[] claims.
-- Reads only; relies on the primary keys of running and task_event. Ends by rescue or a timeout are not among them.
SELECT wanted.id, e.claim_no, e.status, e.event, e.reason, e.run_at
FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS wanted (id, lease_id, claim_no)
CROSS JOIN LATERAL (
    SELECT
        claim_no, status, event, reason, run_at, worker,
        max(worker) FILTER (WHERE event = 'claimed') OVER () AS claimed_by
    FROM taskmill.task_history
    WHERE task_id = wanted.id AND claim_no = wanted.claim_no AND lease_id = wanted.lease_id
) AS e
WHERE e.event <> 'claimed' AND e.worker = e.claimed_by
