-- Purpose: counters that differ from the number of tasks, in one snapshot. Reads every task once, so its time grows
-- with the table: give it its own timeout.
WITH counted AS (
    SELECT
        t.queue,
        coalesce(t.final_status, CASE WHEN r.task_id IS NULL THEN 'new' ELSE 'in_progress' END) AS status,
        count(*) AS tasks
    FROM taskmill.task AS t
    LEFT JOIN taskmill.running AS r ON r.task_id = t.id
    GROUP BY 1, 2
),
recorded AS (
    SELECT queue, status, sum(tasks)::bigint AS tasks
    FROM taskmill.task_count
    GROUP BY queue, status
    HAVING sum(tasks) <> 0
)
SELECT queue, status, coalesce(counted.tasks, 0) AS counted, coalesce(recorded.tasks, 0) AS recorded
FROM counted
FULL JOIN recorded USING (queue, status)
WHERE counted.tasks IS DISTINCT FROM recorded.tasks
ORDER BY queue, status
