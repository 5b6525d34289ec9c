-- Purpose: make the counters of a week exact, from its tasks, while others change them: all that it reads is of one
-- snapshot, and what comes later has deltas of its own. The totals stay as they are.
-- $1 date: the Monday of the week; $2 and $3 uuid: the first id in the week, and the first one after it.
-- Runs after a lock, so that no difference is written twice. What waits or runs is counted where it is, all
-- others by an index, if that is narrower.
WITH counted AS (
    SELECT queue, final_status AS status, count(*) AS tasks
    FROM taskmill.task
    WHERE id >= $2 AND id < $3 AND final_status IS NOT NULL
    GROUP BY 1, 2
    UNION ALL
    SELECT queue, 'new', count(*) FROM taskmill.dispatch WHERE task_id >= $2 AND task_id < $3 GROUP BY 1
    UNION ALL
    SELECT queue, 'in_progress', count(*) FROM taskmill.running WHERE task_id >= $2 AND task_id < $3 GROUP BY 1
),
recorded AS (
    SELECT queue, status, sum(tasks)::bigint AS tasks
    FROM (
        SELECT queue, status, tasks FROM taskmill.task_week_count WHERE week = $1
        UNION ALL
        SELECT queue, status, tasks FROM taskmill.task_count WHERE week = $1
    ) AS known
    GROUP BY queue, status
),
difference AS (
    SELECT queue, status, coalesce(counted.tasks, 0) - coalesce(recorded.tasks, 0) AS tasks
    FROM counted
    FULL JOIN recorded USING (queue, status)
    WHERE coalesce(counted.tasks, 0) <> coalesce(recorded.tasks, 0)
)
INSERT INTO taskmill.task_count (queue, status, tasks, week)
SELECT queue, status, tasks, $1::date FROM difference
UNION ALL
SELECT queue, status, -tasks, NULL FROM difference
