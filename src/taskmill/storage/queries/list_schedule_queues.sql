-- Purpose: the queues of all schedules. Relies on schedule_queue: it reads one row of each queue.
WITH RECURSIVE found AS (
    (SELECT queue FROM taskmill.schedule ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (
        SELECT s.queue FROM taskmill.schedule AS s WHERE s.queue > found.queue ORDER BY s.queue LIMIT 1
    )
    FROM found
    WHERE found.queue IS NOT NULL
)
SELECT queue FROM found WHERE queue IS NOT NULL
