-- Purpose: the history of one task, oldest first. $1 uuid. Reads only; relies on the primary key.
SELECT
    task_id, version, at, happening, status, run, attempt, losses, claim_no, run_at, worker,
    reason, error
FROM taskmill.task_event
WHERE task_id = $1
ORDER BY version
