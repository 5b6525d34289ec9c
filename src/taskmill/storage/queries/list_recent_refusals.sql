-- Purpose: how many messages were refused lately and not sent again since, by queue. $1 uuid: the lowest id to read;
-- $2 integer: most to count; $3 text[]: only those for these queues, null for all.
-- Reads only; relies on the primary key, or on rejection_queue. `is_end`: there may be more.
WITH found AS MATERIALIZED (
    SELECT queue, created_at
    FROM taskmill.rejection
    WHERE id >= $1 AND task_id IS NULL AND ($3::text[] IS NULL OR queue = ANY($3::text[]))
    ORDER BY id DESC
    LIMIT $2
)
SELECT queue, count(*)::integer AS messages, min(created_at) AS first_at, (SELECT count(*) FROM found) = $2 AS is_end
FROM found
GROUP BY queue
ORDER BY messages DESC, queue
