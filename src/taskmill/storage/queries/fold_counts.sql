-- Purpose: replace many counter deltas by their sums; every snapshot sees the same totals before and after.
-- $1 integer: most rows folded at once. Locks: the folded rows, skipping those of another fold.
WITH folded AS (
    DELETE FROM taskmill.task_count
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM taskmill.task_count LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
    RETURNING queue, status, tasks
),
summed AS (
    INSERT INTO taskmill.task_count (queue, status, tasks)
    SELECT queue, status, sum(tasks)::bigint FROM folded
    GROUP BY queue, status
    HAVING sum(tasks) <> 0
    RETURNING 1
)
SELECT (SELECT count(*) FROM folded) AS folded, (SELECT count(*) FROM summed) AS summed
