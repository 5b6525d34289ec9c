-- Purpose: one refused message with its body. $1 uuid. Relies on the primary key.
SELECT
    id, created_at, source, message_id, octet_length(body) AS body_bytes, headers, status, problem,
    redeliveries, resent_at, task_id, queue, body
FROM taskmill.rejection
WHERE id = $1
