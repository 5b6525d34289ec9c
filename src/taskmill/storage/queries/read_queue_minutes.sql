-- Purpose: recent event counts of some queues from the roll-up, and how many attempts ended by step of time.
-- $1 integer: the step in s, $2 double precision: how far back in s, and then to the beginning of that step; $3
-- text[] queues; $4, $5 timestamptz: instead of $2 where it begins and ends, null for now.
-- Reads rows of that step, those of shorter ones that are not yet part of it, and the deltas, as read_minutes
-- does; only those of the queues are added up. Relies on task_minute_at and task_minute_open.
-- IS TRUE keeps the names a hash table, instead of a join by nested loops; = ANY would compare each row with all
-- of them.
-- Returns a row for each queue that has any events, and one without a queue, which has the span.
WITH span AS MATERIALIZED (
    SELECT
        date_bin(
            make_interval(secs => $1::integer), coalesce($4::timestamptz, now() - make_interval(secs => $2)),
            '2000-01-01 00:00:00+00'
        ) AS since,
        least($5::timestamptz, clock_timestamp()) AS until
),
grouped AS (
    SELECT
        at, queue, event, sum(tasks)::bigint AS tasks,
        sum(taskmill.packed_bucket(tasks, bucket)) FILTER (WHERE bucket IS NOT NULL) AS histogram
    FROM (
        SELECT
            date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS at,
            queue, event, bucket, sum(tasks)::bigint AS tasks
        FROM taskmill.task_minute_delta
        WHERE at >= (SELECT since FROM span) AND at < (SELECT until FROM span) AND (queue IN (SELECT unnest($3::text[]))) IS TRUE
        GROUP BY 1, 2, 3, 4
    ) AS deltas
    GROUP BY 1, 2, 3
),
found AS MATERIALIZED (
    SELECT at, queue, created, succeeded, failed, waiting, running
    FROM taskmill.task_minute
    WHERE step_s = $1::integer AND at >= (SELECT since FROM span) AND at < (SELECT until FROM span) AND (queue IN (SELECT unnest($3::text[]))) IS TRUE
    UNION ALL
    SELECT at, queue, created, succeeded, failed, waiting, running
    FROM taskmill.task_minute
    WHERE step_s < $1::integer AND NOT carried AND at >= (SELECT since FROM span) AND at < (SELECT until FROM span) AND (queue IN (SELECT unnest($3::text[]))) IS TRUE
    UNION ALL
    SELECT
        at, queue,
        CASE event WHEN 'created' THEN tasks ELSE 0 END,
        CASE event WHEN 'succeeded' THEN tasks ELSE 0 END,
        CASE event WHEN 'failed' THEN tasks ELSE 0 END,
        CASE WHEN event = 'claimed' THEN coalesce(histogram, 0) ELSE 0 END,
        CASE WHEN event <> 'claimed' THEN coalesce(histogram, 0) ELSE 0 END
    FROM grouped
),
-- Two sums over the same rows: to add up the histograms, which are large numbers, by step as well would double the
-- time.
stepped AS (
    SELECT queue, array_agg(step_at) AS steps, array_agg(ended) AS ended
    FROM (
        SELECT
            queue, date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS step_at,
            sum(succeeded + failed)::bigint AS ended
        FROM found
        GROUP BY 1, 2
    ) AS by_step
    GROUP BY queue
),
summed AS (
    SELECT
        queue, sum(created) AS created, sum(succeeded) AS succeeded, sum(failed) AS failed, sum(waiting) AS waiting,
        sum(running) AS running
    FROM found
    GROUP BY queue
)
SELECT
    NULL AS queue, since, until, NULL::timestamptz[] AS steps, NULL::bigint[] AS ended, NULL::bigint AS created,
    NULL::bigint AS succeeded, NULL::bigint AS failed, NULL AS waiting, NULL AS running
FROM span
UNION ALL
SELECT
    queue, NULL, NULL, steps, ended, created::bigint, succeeded::bigint, failed::bigint, waiting::text, running::text
FROM summed
JOIN stepped USING (queue)
