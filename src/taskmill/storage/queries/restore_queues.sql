-- Purpose: make the queues anew that have tasks that wait or run, and no row: those of which one was removed in the
-- moment in which a task came. Runs after lock_queues in the same transaction. Returns their names.
-- Locks: none but that and its own rows. Queues are few, and their counters are.
INSERT INTO taskmill.queue (name)
SELECT c.queue
FROM taskmill.task_count AS c
WHERE c.status IN ('new', 'in_progress') AND NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = c.queue)
GROUP BY c.queue
HAVING sum(c.tasks) > 0
ORDER BY c.queue
ON CONFLICT (name) DO NOTHING
RETURNING name
