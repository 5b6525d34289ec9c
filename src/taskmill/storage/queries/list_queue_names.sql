-- Purpose: the names of all queues, also of those that were removed and have tasks that ended. Reads only: queues and
-- their counters are few.
SELECT name FROM taskmill.queue
UNION
SELECT queue FROM taskmill.task_count
