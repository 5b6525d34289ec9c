-- Purpose: recent failures of some queues by type and error, the most frequent first; those beyond the limit of a queue
-- and step are last. $1..$4 as of list_failures, $5 text[]: the queues.
-- Reads only; relies on the primary key: its cost is the number of queues, of steps, and of kinds in them.
-- `kinds` and `failures` count all of these queues, whatever the limit.
WITH span AS MATERIALIZED (
    SELECT date_bin(
        make_interval(secs => $1::integer), now() - make_interval(secs => $2), '2000-01-01 00:00:00+00'
    ) AS since
),
found AS (
    SELECT type, error, tasks, first_at, last_at, task_id
    FROM taskmill.queue_failure
    WHERE step_s = $1::integer AND queue = ANY($5::text[]) AND at >= (SELECT since FROM span)
    UNION ALL
    SELECT type, error, 1, at, at, task_id
    FROM (
        SELECT at, type, error, task_id FROM taskmill.failure_delta WHERE queue = ANY($5::text[]) LIMIT $4
    ) AS fresh
    WHERE at >= (SELECT since FROM span)
)
SELECT
    type, error, sum(tasks)::bigint AS tasks, min(first_at) AS first_at, max(last_at) AS last_at,
    (array_agg(task_id ORDER BY last_at DESC))[1] AS task_id,
    count(*) OVER () AS kinds, (sum(sum(tasks)) OVER ())::bigint AS failures
FROM found
GROUP BY type, error
ORDER BY type = '*', sum(tasks) DESC, max(last_at) DESC, type, error
LIMIT $3
