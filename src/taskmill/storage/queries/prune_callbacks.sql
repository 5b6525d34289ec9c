-- Purpose: delete callbacks of tasks that were dropped with their week. $1 uuid: the first task that may still
-- exist; $2 integer limit. Relies on the primary key.
DELETE FROM taskmill.task_callback
WHERE task_id = ANY(ARRAY(
    SELECT task_id FROM taskmill.task_callback
    WHERE task_id < $1
    ORDER BY task_id
    LIMIT $2
))
RETURNING 1
