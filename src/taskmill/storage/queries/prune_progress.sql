-- Purpose: delete progress of tasks that are gone, in a range of ids that no week of tasks has.
-- $1 uuid from, $2 uuid up to (exclusive), $3 integer limit.
-- Relies on: the primary keys of task_progress and task (the task may still be in the DEFAULT partition).
DELETE FROM taskmill.task_progress
WHERE task_id = ANY(ARRAY(
    SELECT p.task_id FROM taskmill.task_progress AS p
    WHERE p.task_id >= $1 AND p.task_id < $2
        AND NOT EXISTS (SELECT FROM taskmill.task AS t WHERE t.id = p.task_id)
    ORDER BY p.task_id
    LIMIT $3
))
RETURNING 1
