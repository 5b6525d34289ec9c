-- Purpose: recent event counts from the roll-up: by queue and type, and by step of time. $1 integer: the step in
-- s, $2 double precision: how far back in s, and then to the beginning of that step; $3 text queue and $4 text
-- type: only these, or null for all; $5 integer: most groups with rows of their own, 0 for none at all; $6 text[]:
-- only these queues, null for all; $7, $8 timestamptz: instead of $2 where it begins and ends, null for now.
-- Reads rows of that step, those of shorter ones that are not yet part of it, and the deltas: its cost is the
-- number of steps, queues and types. Relies on task_minute_at and task_minute_open.
-- Returns the span in every row; a row of a group has no `step_at`, a row of a step no `queue`, and the row of the
-- total neither.
WITH span AS MATERIALIZED (
    SELECT
        date_bin(
            make_interval(secs => $1::integer), coalesce($7::timestamptz, now() - make_interval(secs => $2)),
            '2000-01-01 00:00:00+00'
        ) AS since,
        least($8::timestamptz, clock_timestamp()) AS until
),
grouped AS (
    SELECT
        at, queue, type, event, tasks, seconds, taskmill.packed_bucket(tasks, bucket) AS histogram,
        bucket IS NOT NULL AND event = 'claimed' AS has_waited,
        bucket IS NOT NULL AND event <> 'claimed' AS has_run
    FROM (
        SELECT
            date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS at,
            queue, type, event, bucket, sum(tasks)::bigint AS tasks, sum(seconds) AS seconds
        FROM taskmill.task_minute_delta
        WHERE at >= (SELECT since FROM span) AND at < (SELECT until FROM span)
        GROUP BY 1, 2, 3, 4, 5
    ) AS deltas
),
found AS (
    SELECT
        at, queue, type, created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired,
        cancelled, run_again, waiting, waiting_s, running, running_s
    FROM taskmill.task_minute
    WHERE step_s = $1::integer AND at >= (SELECT since FROM span) AND at < (SELECT until FROM span)
    UNION ALL
    SELECT
        at, queue, type, created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired,
        cancelled, run_again, waiting, waiting_s, running, running_s
    FROM taskmill.task_minute
    WHERE step_s < $1::integer AND NOT carried AND at >= (SELECT since FROM span) AND at < (SELECT until FROM span)
    UNION ALL
    SELECT
        at, queue, type,
        CASE event WHEN 'created' THEN tasks ELSE 0 END,
        CASE event WHEN 'claimed' THEN tasks ELSE 0 END,
        CASE event WHEN 'succeeded' THEN tasks ELSE 0 END,
        CASE event WHEN 'failed' THEN tasks ELSE 0 END,
        CASE event WHEN 'retry_scheduled' THEN tasks ELSE 0 END,
        CASE event WHEN 'handed_back' THEN tasks ELSE 0 END,
        CASE event WHEN 'lost' THEN tasks ELSE 0 END,
        CASE event WHEN 'expired' THEN tasks ELSE 0 END,
        CASE event WHEN 'cancelled' THEN tasks ELSE 0 END,
        CASE event WHEN 'run_again' THEN tasks ELSE 0 END,
        CASE WHEN has_waited THEN histogram ELSE 0 END,
        CASE WHEN has_waited THEN seconds ELSE 0 END,
        CASE WHEN has_run THEN histogram ELSE 0 END,
        CASE WHEN has_run THEN seconds ELSE 0 END
    FROM grouped
),
wanted AS (
    SELECT
        date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS step_at,
        CASE WHEN $5::integer > 0 THEN queue END AS queue, CASE WHEN $5::integer > 0 THEN type END AS type,
        created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired, cancelled, run_again,
        waiting, waiting_s, running, running_s
    FROM found
    WHERE ($3::text IS NULL OR queue = $3)
        AND ($4::text IS NULL OR type = $4)
        AND ($6::text[] IS NULL OR queue = ANY($6::text[]))
),
-- By step, and by queue and type, in one pass: there may be many rows.
added_up AS MATERIALIZED (
    SELECT
        grouping(step_at) = 0 AS is_step, step_at, queue, type,
        sum(created) AS created, sum(claimed) AS claimed, sum(succeeded) AS succeeded, sum(failed) AS failed,
        sum(retry_scheduled) AS retry_scheduled, sum(handed_back) AS handed_back, sum(lost) AS lost,
        sum(expired) AS expired, sum(cancelled) AS cancelled, sum(run_again) AS run_again,
        sum(waiting) AS waiting, sum(waiting_s) AS waiting_s, sum(running) AS running, sum(running_s) AS running_s
    FROM wanted
    GROUP BY GROUPING SETS ((step_at), (queue, type))
),
-- Requests make up types: only the busiest get rows of their own.
labelled AS (
    SELECT
        queue,
        CASE
            WHEN row_number() OVER (
                ORDER BY
                    created + claimed + succeeded + failed + retry_scheduled + handed_back + lost + expired
                        + cancelled + run_again DESC,
                    queue, type
            ) <= $5::integer
                THEN type
            ELSE '*'
        END AS type,
        created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired, cancelled, run_again,
        waiting, waiting_s, running, running_s
    FROM added_up
    WHERE NOT is_step AND $5::integer > 0
),
summed AS (
    SELECT
        NULL::timestamptz AS step_at, queue, type,
        sum(created) AS created, sum(claimed) AS claimed, sum(succeeded) AS succeeded, sum(failed) AS failed,
        sum(retry_scheduled) AS retry_scheduled, sum(handed_back) AS handed_back, sum(lost) AS lost,
        sum(expired) AS expired, sum(cancelled) AS cancelled, sum(run_again) AS run_again,
        sum(waiting) AS waiting, sum(waiting_s) AS waiting_s, sum(running) AS running, sum(running_s) AS running_s
    FROM labelled
    GROUP BY queue, type
    UNION ALL
    SELECT
        step_at, NULL, NULL,
        created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired, cancelled, run_again,
        waiting, waiting_s, running, running_s
    FROM added_up
    WHERE is_step
    UNION ALL
    SELECT
        NULL, NULL, NULL,
        sum(created) AS created, sum(claimed) AS claimed, sum(succeeded) AS succeeded, sum(failed) AS failed,
        sum(retry_scheduled) AS retry_scheduled, sum(handed_back) AS handed_back, sum(lost) AS lost,
        sum(expired) AS expired, sum(cancelled) AS cancelled, sum(run_again) AS run_again,
        sum(waiting) AS waiting, sum(waiting_s) AS waiting_s, sum(running) AS running, sum(running_s) AS running_s
    FROM added_up
    WHERE is_step
)
SELECT
    span.since, span.until, step_at, queue, type,
    created::bigint AS created, claimed::bigint AS claimed, succeeded::bigint AS succeeded,
    failed::bigint AS failed, retry_scheduled::bigint AS retry_scheduled, handed_back::bigint AS handed_back,
    lost::bigint AS lost, expired::bigint AS expired, cancelled::bigint AS cancelled,
    run_again::bigint AS run_again, waiting::text AS waiting, waiting_s, running::text AS running, running_s
FROM span, summed
