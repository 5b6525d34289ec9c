-- Purpose: the labels of the newest tasks that succeeded, of some types. $1 text[]: the types, $2 text[]: only in these
-- queues, null for all; $3 integer: how many of each type to look at. Reads only; relies on task_type_ended, in its order.
SELECT newest.labels
FROM unnest($1::text[]) AS wanted (type)
CROSS JOIN LATERAL (
    SELECT labels, queue FROM taskmill.task
    WHERE type = wanted.type AND final_status = 'succeeded' AND finished_at IS NOT NULL
    ORDER BY id DESC
    LIMIT $3
) AS newest
WHERE $2::text[] IS NULL OR newest.queue = ANY($2)
