-- Purpose: remove a queue in which nothing waits or runs; its ended tasks stay, with their counters. $1 text; $2 boolean:
-- also one that keeps its ended tasks for its own time, which goes with it.
-- Runs after lock_queues in the same transaction. Locks: the queue's row.
-- A task that is just being created is not seen: restore_queues makes the queue anew for it.
WITH counted AS MATERIALIZED (
    SELECT
        coalesce(sum(tasks) FILTER (WHERE status = 'new'), 0)::bigint AS waiting,
        coalesce(sum(tasks) FILTER (WHERE status = 'in_progress'), 0)::bigint AS running
    FROM taskmill.task_count
    WHERE queue = $1
),
removed AS (
    DELETE FROM taskmill.queue
    WHERE name = $1 AND (keep IS NULL OR $2) AND EXISTS (SELECT FROM counted WHERE waiting <= 0 AND running <= 0)
    RETURNING name
)
SELECT
    EXISTS (SELECT FROM taskmill.queue WHERE name = $1) AS is_known,
    EXISTS (SELECT FROM taskmill.queue WHERE name = $1 AND keep IS NOT NULL) AND NOT $2 AS has_keep,
    EXISTS (SELECT FROM removed) AS is_removed, waiting, running
FROM counted
