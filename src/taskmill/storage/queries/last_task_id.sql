-- Purpose: the highest id in `task`, `dispatch`, `running` and `task_event`; null when all are empty.
-- Reads only; relies on the primary keys.
SELECT id FROM (
    (SELECT id FROM taskmill.task ORDER BY id DESC LIMIT 1)
    UNION ALL
    (SELECT task_id FROM taskmill.dispatch ORDER BY task_id DESC LIMIT 1)
    UNION ALL
    (SELECT task_id FROM taskmill.running ORDER BY task_id DESC LIMIT 1)
    UNION ALL
    (SELECT task_id FROM taskmill.task_event ORDER BY task_id DESC LIMIT 1)
) AS last (id)
ORDER BY id DESC
LIMIT 1
