-- Purpose: the newest tasks that have failed in a way and are still failed. $1 text: the kind of error, $2 text[]: only
-- in these queues, null for all; $3 integer: how many of the kind to look at, $4 integer: how many to return.
-- Reads only; relies on task_error_kind, in its order, and on the primary keys of task_event and lease. The version of
-- the worker is known for a day after that has ended.
SELECT
    failed.id, failed.queue, failed.type, failed.labels, failed.finished_at, failed.message, e.worker, l.version
FROM (
    SELECT id, queue, type, labels, finished_at, version, message
    FROM (
        SELECT id, queue, type, labels, finished_at, version, final_status, error ->> 'message' AS message
        FROM taskmill.task
        WHERE taskmill.error_kind(error) = $1 AND error IS NOT NULL
        ORDER BY id DESC
        LIMIT $3
    ) AS newest
    WHERE final_status = 'failed' AND ($2::text[] IS NULL OR queue = ANY($2))
    ORDER BY id DESC
    LIMIT $4
) AS failed
LEFT JOIN LATERAL (
    SELECT worker, lease_id FROM taskmill.task_event
    WHERE task_id = failed.id AND version = failed.version
    LIMIT 1
) AS e ON true
LEFT JOIN taskmill.lease AS l ON l.id = e.lease_id
ORDER BY failed.id DESC
