-- Purpose: the deliveries of a task's callback, newest first. $1 uuid, $2 integer limit. Reads only; relies on
-- webhook_delivery_callback.
SELECT
    d.id, d.webhook_id, d.task_id, d.version, d.position, d.ordinal, d.state, d.attempts, d.created_at, d.tried_at,
    d.next_at, d.finished_at, d.response_status, d.trouble, c.url
FROM taskmill.webhook_delivery AS d
LEFT JOIN taskmill.task_callback AS c ON c.task_id = d.task_id
WHERE d.task_id = $1 AND d.webhook_id IS NULL
ORDER BY d.id DESC
LIMIT $2
