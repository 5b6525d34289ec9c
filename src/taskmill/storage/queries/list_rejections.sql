-- Purpose: a page of refused messages without their bodies, newest first; it ends with the one that reaches $3
-- bytes. `found` counts all, without that limit. $1 uuid: only those before it (the largest UUID for all), $2
-- integer: how many at most, $3 bigint. Relies on the primary key.
SELECT
    id, created_at, source, message_id, body_bytes, headers, status, problem, redeliveries, resent_at, task_id, queue,
    found
FROM (
    SELECT
        id, created_at, source, message_id, octet_length(body) AS body_bytes, headers, status, problem,
        redeliveries, resent_at, task_id, queue, count(*) OVER () AS found,
        sum(bytes) OVER (ORDER BY id DESC) - bytes AS bytes_before
    FROM (
        SELECT
            id, created_at, source, message_id, body, headers, status, problem, redeliveries, resent_at, task_id,
            queue, octet_length(headers::text) + octet_length(problem::text) AS bytes
        FROM taskmill.rejection
        WHERE id < $1
        ORDER BY id DESC
        LIMIT $2
    ) AS part
) AS sized
WHERE bytes_before < $3
ORDER BY id DESC
