-- Purpose: read tasks by id, in any order. $1 uuid[]. Reads only; relies on the primary key.
SELECT
    id, number, name, description, type, payload, queue, priority, status, run, attempt,
    max_attempts, losses, max_losses, cancel_requested, run_at, created_at, started_at, finished_at,
    updated_at, result, error, labels, source, version, claim_no
FROM taskmill.task
WHERE id = ANY($1::uuid[])
