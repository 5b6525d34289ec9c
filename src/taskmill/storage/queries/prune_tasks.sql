-- Purpose: delete some ended tasks of a queue and status with all that belongs to them, by taskmill.prune_tasks: it checks
-- by itself whether they may go. $1 text queue, $2 text terminal status; $3 uuid: after this id, $4 uuid: before this one,
-- both of one week; $5 timestamptz: tasks that ended before it; $6 integer: most tasks that are read; $7 interval: how long
-- tasks of queues without a time of their own are kept, null: these are not deleted.
-- Locks in order: task (in the order of ids, skipping what others hold), event, count, pruned_queue.
-- Relies on task_queue_ended and the primary keys. Rows are compared as a whole, so that the planner finds the first by
-- that index only: by the primary key it may read all of the week. It looks into all weeks for that.
-- Returns how many tasks were read and deleted, and the last id that was read.
WITH candidate AS MATERIALIZED (
    SELECT id, finished_at
    FROM taskmill.task
    WHERE (queue, final_status, id) > ($1, $2, $3)
        AND (queue, final_status, id) < ($1, $2, $4)
        AND final_status IS NOT NULL
    ORDER BY queue, final_status, id
    LIMIT $6
)
SELECT
    (SELECT count(*) FROM candidate) AS read,
    taskmill.prune_tasks(ARRAY(SELECT id FROM candidate WHERE finished_at < $5), $7) AS pruned,
    (SELECT id FROM candidate ORDER BY id DESC LIMIT 1) AS last
