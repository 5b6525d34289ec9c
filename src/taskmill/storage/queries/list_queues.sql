-- Purpose: all queues, whether they are paused, and how long they keep ended tasks; also those that have tasks and no row,
-- as when a queue was removed just as a task was created. Reads only: queues and their counters are few.
SELECT name, paused_at, created_at, keep
FROM taskmill.queue
UNION ALL
SELECT c.queue, NULL, now(), NULL
FROM taskmill.task_count AS c
WHERE c.status IN ('new', 'in_progress') AND NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = c.queue)
GROUP BY c.queue
HAVING sum(c.tasks) > 0
ORDER BY name
