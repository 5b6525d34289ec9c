-- Purpose: after a lost result: which of these attempts were ended, and how. $1 uuid[] ids, $2 integer[] claim
-- numbers, $3 text: the worker that ended them.
-- Reads only; relies on task_event's primary key.
SELECT e.task_id AS id, e.claim_no, e.status, e.event, e.reason, e.run_at
FROM unnest($1::uuid[], $2::integer[]) AS wanted (id, claim_no)
JOIN taskmill.task_event AS e ON e.task_id = wanted.id AND e.claim_no = wanted.claim_no
WHERE e.worker = $3 AND e.event <> 'claimed'
