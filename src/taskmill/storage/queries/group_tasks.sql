-- Purpose: of which queues and types some tasks are, and how many of them run. $1 uuid[]. Locks: none.
-- Relies on: the primary keys of task and running.
SELECT t.queue, t.type, count(*) AS tasks, count(r.task_id) AS running
FROM taskmill.task AS t
LEFT JOIN taskmill.running AS r ON r.task_id = t.id
WHERE t.id = ANY($1)
GROUP BY t.queue, t.type
