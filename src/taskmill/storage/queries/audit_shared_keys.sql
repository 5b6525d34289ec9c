-- Purpose: tasks for which several idempotency keys stand. $1 uuid: after this id. Reads all keys: there is no index
-- by task, and keys are few beside tasks.
SELECT task_id, count(*)::integer AS keys
FROM taskmill.idempotency
WHERE task_id > $1
GROUP BY task_id
HAVING count(*) > 1
ORDER BY task_id
