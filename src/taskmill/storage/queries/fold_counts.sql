-- Purpose: replace many counter deltas by their sums; every snapshot sees the same totals before and after. Deltas
-- that name their week are added to `task_week_count`, too.
-- $1 integer: most rows folded at once. Locks: the folded rows, skipping those of another fold; then rows of
-- task_week_count, sorted, as another fold may add to the same.
WITH folded AS (
    DELETE FROM taskmill.task_count
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM taskmill.task_count LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
    RETURNING queue, status, tasks, week
),
summed AS (
    INSERT INTO taskmill.task_count (queue, status, tasks)
    SELECT queue, status, sum(tasks)::bigint FROM folded
    GROUP BY queue, status
    HAVING sum(tasks) <> 0
    RETURNING 1
),
by_week AS (
    INSERT INTO taskmill.task_week_count AS known (week, queue, status, tasks)
    SELECT week, queue, status, sum(tasks)::bigint FROM folded
    WHERE week IS NOT NULL
    GROUP BY week, queue, status
    HAVING sum(tasks) <> 0
    ORDER BY week, queue, status
    ON CONFLICT (week, queue, status) DO UPDATE SET tasks = known.tasks + excluded.tasks
)
SELECT (SELECT count(*) FROM folded) AS folded, (SELECT count(*) FROM summed) AS summed
