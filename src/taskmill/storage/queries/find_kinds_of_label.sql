-- Purpose: the kinds of error of tasks that failed and have a label: of the $4 integer that are found first.
-- $1 jsonb: the label, $2 uuid: the lowest id, $3 text[]: only in these queues, null for all. Reads only; relies on
-- task_labels, which returns all tasks with the label: its caller has a timeout.
SELECT DISTINCT taskmill.error_kind(error) AS kind
FROM (
    SELECT error FROM taskmill.task
    WHERE labels @> $1 AND labels <> '{}' AND error IS NOT NULL AND final_status = 'failed' AND id >= $2
        AND ($3::text[] IS NULL OR queue = ANY($3))
    LIMIT $4
) AS failed
