-- Purpose: make queues anew that have tasks that wait or run, and no row: a queue was removed just as a task was
-- created. Runs after lock_queues in the same transaction. Returns their names.
-- Locks: none but that and its own rows. Queues and their counters are few.
INSERT INTO taskmill.queue (name)
SELECT c.queue
FROM taskmill.task_count AS c
WHERE c.status IN ('new', 'in_progress') AND NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = c.queue)
GROUP BY c.queue
HAVING sum(c.tasks) > 0
ORDER BY c.queue
ON CONFLICT (name) DO NOTHING
RETURNING name
