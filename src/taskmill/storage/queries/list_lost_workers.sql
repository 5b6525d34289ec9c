-- Purpose: the workers whose lease ran out in the last day, the latest first, with the number of tasks that were taken
-- back from each. $1 integer: the most; $2 text[]: only workers that serve one of these queues, null for all.
-- Reads only; relies on lease_worker_closed.
SELECT id, worker, closed_at, cardinality(lost_task_ids) AS lost_tasks
FROM taskmill.lease
WHERE NOT remote AND closed_at > now() - interval '1 day' AND close_reason = 'expired'
    AND ($2::text[] IS NULL OR cardinality(queues) = 0 OR queues && $2::text[])
ORDER BY closed_at DESC
LIMIT $1
