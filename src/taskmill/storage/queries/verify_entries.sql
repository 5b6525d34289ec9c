-- Purpose: the history of all tasks in a range of ids, in order. $1 uuid: after this id, $2 uuid: up to this one.
-- The columns are in the order of `HistoryEntry` (domain/history.py). Reads only; relies on the primary keys
-- of running and task_event.
SELECT
    task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, lease_id, reason, error
FROM taskmill.task_history
WHERE task_id > $1 AND task_id <= $2
ORDER BY task_id, row_version, version
