-- Purpose: delete keys of tasks that are about to be dropped with their week. $1 uuid first id, $2 uuid first id
-- after it, $3 integer limit. Reads all keys: there is no index by task, and there are far fewer keys than tasks.
DELETE FROM taskmill.idempotency
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM taskmill.idempotency
    WHERE task_id >= $1 AND task_id < $2
    LIMIT $3
))
RETURNING 1
