-- Purpose: a page of the refused messages of some queues, as list_rejections. $1..$3 as there, $4 text[]: the queues.
-- Reads only; relies on rejection_queue, once for each queue.
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
            r.id, r.created_at, r.source, r.message_id, r.body, r.headers, r.status, r.problem, r.redeliveries,
            r.resent_at, r.task_id, r.queue, octet_length(r.headers::text) + octet_length(r.problem::text) AS bytes
        FROM unnest($4::text[]) AS wanted (queue)
        CROSS JOIN LATERAL (
            SELECT
                of_queue.id, of_queue.created_at, of_queue.source, of_queue.message_id, of_queue.body,
                of_queue.headers, of_queue.status, of_queue.problem, of_queue.redeliveries, of_queue.resent_at,
                of_queue.task_id, of_queue.queue
            FROM taskmill.rejection AS of_queue
            WHERE of_queue.queue = wanted.queue AND of_queue.id < $1
            ORDER BY of_queue.id DESC
            LIMIT $2
        ) AS r
        ORDER BY r.id DESC
        LIMIT $2
    ) AS part
) AS sized
WHERE bytes_before < $3
ORDER BY id DESC
