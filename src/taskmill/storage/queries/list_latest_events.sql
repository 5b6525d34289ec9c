-- Purpose: the end of the history of one task, newest first. $1 uuid; $2 integer: how many at most. Reads only;
-- relies on the primary keys of running and task_event.
SELECT
    task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, worker,
    reason, error
FROM taskmill.task_history
WHERE task_id = $1
ORDER BY row_version DESC, version DESC
LIMIT $2::integer
