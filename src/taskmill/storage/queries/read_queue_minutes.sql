-- Purpose: what happened in some queues lately, from the roll-up, and how many attempts ended by step of time.
-- $1 integer: the step in s, $2 double precision: how far to look back in s, then to the beginning of that step;
-- $3 text[] queues.
-- Reads rows of that step, those of shorter ones that are not yet part of it, and the deltas, as read_minutes does; only
-- those of the queues are added up. Relies on task_minute_at and task_minute_open.
-- Returns a row for each queue with something to tell, and one without a queue, which has the span.
WITH span AS MATERIALIZED (
    SELECT
        date_bin(
            make_interval(secs => $1::integer), now() - make_interval(secs => $2), '2000-01-01 00:00:00+00'
        ) AS since,
        clock_timestamp() AS until
),
told AS (
    SELECT
        at, queue, happening, sum(tasks)::bigint AS tasks,
        sum(taskmill.packed_bucket(tasks, bucket)) FILTER (WHERE bucket IS NOT NULL) AS histogram
    FROM (
        SELECT
            date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS at,
            queue, happening, bucket, sum(tasks)::bigint AS tasks
        FROM taskmill.task_minute_delta
        WHERE at >= (SELECT since FROM span) AND queue = ANY($3::text[])
        GROUP BY 1, 2, 3, 4
    ) AS deltas
    GROUP BY 1, 2, 3
),
found AS (
    SELECT at, queue, created, succeeded, failed, waiting, running
    FROM taskmill.task_minute
    WHERE step_s = $1::integer AND at >= (SELECT since FROM span) AND queue = ANY($3::text[])
    UNION ALL
    SELECT at, queue, created, succeeded, failed, waiting, running
    FROM taskmill.task_minute
    WHERE step_s < $1::integer AND NOT carried AND at >= (SELECT since FROM span) AND queue = ANY($3::text[])
    UNION ALL
    SELECT
        at, queue,
        CASE happening WHEN 'created' THEN tasks ELSE 0 END,
        CASE happening WHEN 'succeeded' THEN tasks ELSE 0 END,
        CASE happening WHEN 'failed' THEN tasks ELSE 0 END,
        CASE WHEN happening = 'claimed' THEN coalesce(histogram, 0) ELSE 0 END,
        CASE WHEN happening <> 'claimed' THEN coalesce(histogram, 0) ELSE 0 END
    FROM told
),
stepped AS (
    SELECT
        queue, date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS step_at,
        sum(created) AS created, sum(succeeded) AS succeeded, sum(failed) AS failed, sum(waiting) AS waiting,
        sum(running) AS running
    FROM found
    GROUP BY 1, 2
)
SELECT
    NULL AS queue, since, until, NULL::timestamptz[] AS steps, NULL::bigint[] AS ended, NULL::bigint AS created,
    NULL::bigint AS succeeded, NULL::bigint AS failed, NULL AS waiting, NULL AS running
FROM span
UNION ALL
SELECT
    queue, NULL, NULL, array_agg(step_at), array_agg((succeeded + failed)::bigint), sum(created)::bigint,
    sum(succeeded)::bigint, sum(failed)::bigint, sum(waiting)::text, sum(running)::text
FROM stepped
GROUP BY queue
