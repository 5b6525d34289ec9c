-- Purpose: of the newest tasks of a type that have ended, those whose last attempt took longest. $1 text: the type,
-- $2 uuid, $3 uuid: only tasks with ids from the first on and before the second, $4 integer: how many of each status to
-- look at, $5 integer: how many to return; $6 text[]: only in these queues, null for all.
-- Reads only; relies on task_type_ended, in its order: with an equality for the status, which is a constant, the order
-- would be that of the primary key as well, and a plan for any values took that, to read a whole week (2026-11-30).
SELECT id, number, name, queue, type, status, finished_at, seconds
FROM (
    (
        SELECT
            id, number, name, queue, type, 'succeeded' AS status, finished_at,
            date_part('epoch', finished_at - started_at) AS seconds
        FROM taskmill.task
        WHERE type = $1 AND final_status >= 'succeeded' AND final_status <= 'succeeded' AND id >= $2 AND id < $3
        ORDER BY final_status DESC, id DESC
        LIMIT $4
    )
    UNION ALL
    (
        SELECT
            id, number, name, queue, type, 'failed' AS status, finished_at,
            date_part('epoch', finished_at - started_at) AS seconds
        FROM taskmill.task
        WHERE type = $1 AND final_status >= 'failed' AND final_status <= 'failed' AND id >= $2 AND id < $3
        ORDER BY final_status DESC, id DESC
        LIMIT $4
    )
) AS found
WHERE seconds IS NOT NULL AND ($6::text[] IS NULL OR queue = ANY($6::text[]))
ORDER BY seconds DESC, id DESC
LIMIT $5
