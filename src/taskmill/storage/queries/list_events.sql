-- Purpose: the history of one task after a version, oldest first; it ends with the entry that reaches $4 bytes.
-- `found` counts all, without that limit. $1 uuid; $2 integer version; $3 integer: how many at most; $4 bigint.
-- Reads only; relies on the primary keys of running and task_event.
SELECT
    task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, worker, reason, error, found
FROM (
    SELECT
        task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, worker, reason, error,
        count(*) OVER () AS found, sum(bytes) OVER (ORDER BY version) - bytes AS bytes_before
    FROM (
        SELECT
            task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, worker, reason, error,
            coalesce(octet_length(error::text), 0) AS bytes
        FROM taskmill.task_history
        WHERE task_id = $1 AND version > $2 AND row_version > $2
        ORDER BY row_version, version
        LIMIT $3
    ) AS part
) AS sized
WHERE bytes_before < $4
ORDER BY version
