-- Purpose: read the queues and the statuses of some tasks. $1 uuid[]. Relies on the primary keys of task and running.
SELECT
    t.id, t.queue,
    CASE
        WHEN t.final_status IS NOT NULL THEN t.final_status
        WHEN r.task_id IS NULL THEN 'new'
        ELSE 'in_progress'
    END AS status
FROM taskmill.task AS t
LEFT JOIN taskmill.running AS r ON r.task_id = t.id AND t.final_status IS NULL
WHERE t.id = ANY($1)
