-- Purpose: how many of the tasks that workers ran when they were lost are in some queues. $1 uuid[] leases, $2 text[]: the
-- queues. Reads only; relies on the primary keys.
SELECT l.id, count(*)::integer AS tasks
FROM taskmill.lease AS l
JOIN taskmill.task AS t ON t.id = ANY(l.lost_task_ids)
WHERE l.id = ANY($1::uuid[]) AND t.queue = ANY($2::text[])
GROUP BY l.id
