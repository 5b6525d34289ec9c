-- Purpose: rows of `dispatch` in a range of ids whose task is not there. $1 uuid: after this id, $2 uuid: up to this
-- one. Reads only; relies on the primary keys of dispatch and task.
SELECT d.task_id
FROM taskmill.dispatch AS d
WHERE d.task_id > $1
    AND d.task_id <= $2
    AND NOT EXISTS (SELECT FROM taskmill.task AS t WHERE t.id = d.task_id)
ORDER BY d.task_id
