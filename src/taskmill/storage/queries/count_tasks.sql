-- Purpose: the exact number of tasks by queue and status, at any table size. Reads only.
SELECT queue, status, sum(tasks)::bigint AS tasks
FROM taskmill.task_count
GROUP BY queue, status
HAVING sum(tasks) <> 0
