-- Purpose: how many attempts ended well or badly, by queue and step of time, for small charts.
-- $1 integer: the step in s, $2 timestamptz: since when, the beginning of a step, $3 text[] queues.
-- Reads rows of that step, those of shorter ones that are not yet part of it, and the deltas, as read_minutes does.
-- Relies on task_minute_at and task_minute_open.
WITH found AS (
    SELECT at, queue, succeeded + failed AS ended
    FROM taskmill.task_minute
    WHERE step_s = $1::integer AND at >= $2
    UNION ALL
    SELECT at, queue, succeeded + failed
    FROM taskmill.task_minute
    WHERE step_s < $1::integer AND NOT carried AND at >= $2
    UNION ALL
    SELECT at, queue, tasks
    FROM taskmill.task_minute_delta
    WHERE at >= $2 AND happening IN ('succeeded', 'failed')
)
SELECT
    queue, date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS step_at,
    sum(ended)::bigint AS ended
FROM found
WHERE queue = ANY($3::text[])
GROUP BY 1, 2
