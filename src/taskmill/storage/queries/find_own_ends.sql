-- Purpose: which of these attempts were ended by their own worker, and how: a finish may be sent again when
-- its response was lost. $1 uuid[] tasks, $2 uuid[] leases, $3 integer[] claims.
-- Reads only; relies on task_event's primary key. Ends by rescue or a timeout are not among them.
SELECT e.task_id AS id, e.claim_no, e.status, e.event, e.reason, e.run_at
FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS wanted (id, lease_id, claim_no)
JOIN taskmill.task_event AS claimed
    ON claimed.task_id = wanted.id
    AND claimed.claim_no = wanted.claim_no
    AND claimed.lease_id = wanted.lease_id
    AND claimed.event = 'claimed'
JOIN taskmill.task_event AS e
    ON e.task_id = wanted.id
    AND e.claim_no = wanted.claim_no
    AND e.lease_id = wanted.lease_id
    AND e.worker = claimed.worker
    AND e.version > claimed.version
