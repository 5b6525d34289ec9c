-- Purpose: the types of all tasks. $1 int: the most types of what ended, and tasks that run, that are read; $2 int: the
-- most pairs of queue and type of what waits.
-- Reads only: loose index scans over dispatch_bucket and task_type_ended, which jump from type to type, and what runs.
-- The cost grows with queues and types, not with tasks.
WITH RECURSIVE waiting AS (
    (SELECT d.queue, d.type FROM taskmill.dispatch AS d ORDER BY d.queue, d.type LIMIT 1)
    UNION ALL
    SELECT following.queue, following.type
    FROM waiting AS w
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type FROM taskmill.dispatch AS d
        WHERE (d.queue, d.type) > (w.queue, w.type)
        ORDER BY d.queue, d.type
        LIMIT 1
    ) AS following
),
ended AS (
    SELECT (SELECT min(t.type) FROM taskmill.task AS t WHERE t.final_status IS NOT NULL) AS type
    UNION ALL
    SELECT (
        SELECT min(t.type) FROM taskmill.task AS t
        WHERE t.type > e.type AND t.final_status IS NOT NULL
    )
    FROM ended AS e
    WHERE e.type IS NOT NULL
)
(SELECT type FROM waiting LIMIT $2)
UNION
(SELECT type FROM ended WHERE type IS NOT NULL LIMIT $1)
UNION
SELECT t.type
FROM (SELECT task_id FROM taskmill.running LIMIT $1) AS r
CROSS JOIN LATERAL (SELECT type FROM taskmill.task WHERE id = r.task_id LIMIT 1) AS t
