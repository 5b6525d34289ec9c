-- Purpose: types of which tasks failed within the last day because their workers were lost too often.
-- $1 text[]: only what failed in these queues, null for all.
-- Reads only; relies on the primary key, and on queue_failure_at: its cost is the number of kinds of each hour.
SELECT type, 'WorkerLost' AS error, sum(tasks)::bigint AS tasks, min(first_at) AS first_at
FROM (
    SELECT type, tasks, first_at
    FROM taskmill.failure
    WHERE $1::text[] IS NULL AND step_s = 3600 AND at > now() - interval '1 day' AND error LIKE 'WorkerLost%'
    UNION ALL
    SELECT type, tasks, first_at
    FROM taskmill.queue_failure
    WHERE queue = ANY($1::text[]) AND step_s = 3600 AND at > now() - interval '1 day' AND error LIKE 'WorkerLost%'
) AS found
GROUP BY type
ORDER BY tasks DESC, type
