-- Purpose: how the tasks of each queue and type ended in the last day before some minutes ago: what is usual for them.
-- $1 double precision: up to how many s ago; $2 text[]: only these queues, null for all.
-- Reads only; relies on task_minute_at and task_minute_open: its cost is the number of steps, queues and types.
SELECT queue, type, sum(succeeded)::bigint AS succeeded, sum(failed)::bigint AS failed
FROM (
    SELECT queue, type, succeeded, failed
    FROM taskmill.task_minute
    WHERE step_s = 3600 AND at >= now() - interval '1 day'
    UNION ALL
    SELECT queue, type, succeeded, failed
    FROM taskmill.task_minute
    WHERE step_s < 3600 AND NOT carried
        AND at >= now() - interval '1 day' AND at < now() - make_interval(secs => $1)
) AS found
WHERE ($2::text[] IS NULL OR queue = ANY($2::text[])) AND succeeded + failed > 0
GROUP BY queue, type
