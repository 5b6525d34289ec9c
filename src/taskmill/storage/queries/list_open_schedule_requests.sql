-- Purpose: what SQL has asked for of schedules and is neither done nor refused, in the order in which it was asked for. $1 bigint:
-- after this one; $2 integer: the most. Relies on schedule_request_open.
SELECT id, name, body, queue, type, replaced_queue, paused, asked_by, asked_at, problem
FROM taskmill.schedule_request
WHERE (problem IS NULL OR paused IS NOT NULL) AND id > $1
ORDER BY id
LIMIT $2
