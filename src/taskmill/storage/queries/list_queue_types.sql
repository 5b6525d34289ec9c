-- Purpose: the types of the tasks of some queues, whatever their status. $1 text[]: the queues.
-- Reads only: loose index scans over dispatch_bucket and task_queue_type_ended, which jump from type to type, and what
-- runs. The cost grows with queues and types, not with tasks.
WITH RECURSIVE wanted AS (
    SELECT unnest($1::text[]) AS queue
),
waiting AS (
    SELECT w.queue, (SELECT min(d.type) FROM taskmill.dispatch AS d WHERE d.queue = w.queue) AS type
    FROM wanted AS w
    UNION ALL
    SELECT
        w.queue,
        (SELECT min(d.type) FROM taskmill.dispatch AS d WHERE d.queue = w.queue AND d.type > w.type)
    FROM waiting AS w
    WHERE w.type IS NOT NULL
),
ended AS (
    SELECT
        w.queue,
        (
            SELECT min(t.type) FROM taskmill.task AS t
            WHERE t.queue = w.queue AND t.final_status IS NOT NULL
        ) AS type
    FROM wanted AS w
    UNION ALL
    SELECT
        e.queue,
        (
            SELECT min(t.type) FROM taskmill.task AS t
            WHERE t.queue = e.queue AND t.type > e.type AND t.final_status IS NOT NULL
        )
    FROM ended AS e
    WHERE e.type IS NOT NULL
)
SELECT type FROM waiting WHERE type IS NOT NULL
UNION
SELECT type FROM ended WHERE type IS NOT NULL
UNION
SELECT t.type
FROM taskmill.running AS r
JOIN taskmill.task AS t ON t.id = r.task_id
WHERE r.queue = ANY($1::text[])
