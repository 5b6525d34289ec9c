-- Purpose: what SQL has asked for of schedules and was refused, the oldest first. $1 integer: the most; $2 text[]: only of these queues, null
-- for all. Reads only; relies on schedule_request_refused.
SELECT id, name, body, queue, type, replaced_queue, paused, asked_by, asked_at, problem
FROM taskmill.schedule_request
WHERE problem IS NOT NULL AND ($2::text[] IS NULL OR coalesce(queue, replaced_queue) = ANY($2::text[]))
ORDER BY asked_at
LIMIT $1
