-- Purpose: the contents of changes, with what they need of their tasks. $1 uuid[] and $2 integer[]: tasks and
-- versions.
-- Reads only; relies on the primary keys of task_event and task, once per pair. Returns in any order; changes of
-- tasks that were dropped are missing. The columns read from `task` never change.
SELECT
    e.task_id, e.version, e.at, e.event, e.status, e.run, e.attempt, e.losses, e.claim_no,
    e.run_at, e.worker, e.reason, e.error, t.queue, t.type, t.name, t.labels
FROM unnest($1::uuid[], $2::integer[]) AS pair (task_id, version)
JOIN taskmill.task_event AS e ON e.task_id = pair.task_id AND e.version = pair.version
JOIN taskmill.task AS t ON t.id = pair.task_id
