-- Purpose: delete the keys of tasks that are dropped with their week. $1 first id, $2 first id after it.
DELETE FROM taskmill.idempotency WHERE task_id >= $1 AND task_id < $2
