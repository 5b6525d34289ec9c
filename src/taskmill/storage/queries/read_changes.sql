-- Purpose: the contents of changes, with what they need of their tasks. $1 uuid[] and $2 integer[]: tasks and
-- versions.
-- Reads only; relies on the primary keys of task, running and task_event, of which it looks up a row of each, or two
-- of the last, per pair. Returns in any order; changes of tasks that were dropped are missing. The columns read from
-- `task` never change, but for `queue`: it is where the task is now (reschedule_task).
SELECT
    e.task_id, e.version, e.at, e.event, e.status, e.run, e.attempt, e.losses, e.claim_no,
    e.run_at, e.worker, e.reason, e.error, t.queue, t.type, t.name, t.labels
FROM unnest($1::uuid[], $2::integer[]) AS pair (task_id, version)
JOIN taskmill.task AS t ON t.id = pair.task_id
CROSS JOIN LATERAL (
    SELECT task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, worker, reason, error
    FROM taskmill.task_history
    WHERE task_id = pair.task_id
        AND version = pair.version
        AND row_version BETWEEN pair.version AND pair.version + 1
    LIMIT 1
) AS e
