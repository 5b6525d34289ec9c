-- Purpose: the end of the history of one task, newest first. $1 uuid; $2 integer: how many at most. Reads only;
-- relies on the primary key.
SELECT
    task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, worker,
    reason, error
FROM taskmill.task_event
WHERE task_id = $1
ORDER BY version DESC
LIMIT $2::integer
