-- Purpose: tasks that have several idempotency keys. $1 uuid: after this id. Reads all keys: there is no index by
-- task, and there are far fewer keys than tasks.
SELECT task_id, count(*)::integer AS keys
FROM taskmill.idempotency
WHERE task_id > $1
GROUP BY task_id
HAVING count(*) > 1
ORDER BY task_id
