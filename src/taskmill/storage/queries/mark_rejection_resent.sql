-- Purpose: record that a refused message was sent again and became a task. $1 uuid, $2 uuid task.
-- Only the first time is stored. Locks: the row. Relies on the primary key.
UPDATE taskmill.rejection
SET resent_at = coalesce(resent_at, now()), task_id = coalesce(task_id, $2::uuid)
WHERE id = $1
RETURNING 1
