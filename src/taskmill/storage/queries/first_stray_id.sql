-- Purpose: the oldest id that has no partition of its week. Reads only; relies on the primary keys.
SELECT id FROM (
    (SELECT id FROM taskmill.task_default ORDER BY id LIMIT 1)
    UNION ALL
    (SELECT task_id FROM taskmill.task_event_default ORDER BY task_id LIMIT 1)
    UNION ALL
    (SELECT task_id FROM taskmill.task_log_default ORDER BY task_id LIMIT 1)
) AS stray (id)
ORDER BY id
LIMIT 1
