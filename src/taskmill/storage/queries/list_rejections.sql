-- Purpose: a page of refused messages without their bodies, newest first.
-- $1 uuid: only those before it (the largest UUID for all), $2 integer limit. Relies on the primary key.
SELECT
    id, created_at, door, message_id, octet_length(body) AS body_bytes, headers, status, problem,
    redeliveries, resent_at, task_id
FROM taskmill.rejection
WHERE id < $1
ORDER BY id DESC
LIMIT $2
