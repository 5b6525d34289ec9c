-- Purpose: how many tasks failed by step of time and by queue, or by type. $1 integer: the step in s, $2 double
-- precision: how far back in s, and then to the beginning of that step; $3, $4 timestamptz: instead of $2 where it
-- begins and ends, null for now; $5 text queue and $6 text type: only these, or null for all; $7 text[]: only these
-- queues, null for all; $8 boolean: by type, else by queue; $9 integer: most names, the others are * together.
-- Reads rows of that step, those of shorter ones that are not yet part of it, and the deltas, as read_minutes does,
-- but no histograms: its cost is the number of steps, queues and types. Relies on task_minute_at and task_minute_open.
-- Returns the names with most failures first, * last, each with its steps in order.
WITH span AS MATERIALIZED (
    SELECT
        date_bin(
            make_interval(secs => $1::integer), coalesce($3::timestamptz, now() - make_interval(secs => $2)),
            '2000-01-01 00:00:00+00'
        ) AS since,
        least($4::timestamptz, clock_timestamp()) AS until
),
found AS MATERIALIZED (
    SELECT at, queue, type, failed
    FROM taskmill.task_minute
    WHERE step_s = $1::integer AND failed > 0
        AND at >= (SELECT since FROM span) AND at < (SELECT until FROM span)
    UNION ALL
    SELECT at, queue, type, failed
    FROM taskmill.task_minute
    WHERE step_s < $1::integer AND NOT carried AND failed > 0
        AND at >= (SELECT since FROM span) AND at < (SELECT until FROM span)
    UNION ALL
    SELECT at, queue, type, tasks
    FROM taskmill.task_minute_delta
    WHERE event = 'failed' AND at >= (SELECT since FROM span) AND at < (SELECT until FROM span)
),
named AS NOT MATERIALIZED (
    SELECT
        date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS step_at,
        CASE WHEN $8::boolean THEN type ELSE queue END AS name, failed
    FROM found
    WHERE ($5::text IS NULL OR queue = $5)
        AND ($6::text IS NULL OR type = $6)
        AND ($7::text[] IS NULL OR queue = ANY($7::text[]))
),
-- The rest of the types of a queue is * already. No join: the planner may expect one row where there are thousands.
shown AS MATERIALIZED (
    SELECT array_agg(name ORDER BY failed DESC, name) AS names
    FROM (
        SELECT name, sum(failed) AS failed
        FROM named
        WHERE name <> '*'
        GROUP BY name
        ORDER BY failed DESC, name
        LIMIT $9::integer
    ) AS largest
),
placed AS (
    SELECT array_position((SELECT names FROM shown), name) AS place, step_at, sum(failed)::bigint AS failed
    FROM named
    GROUP BY 1, 2
)
SELECT
    coalesce(((SELECT names FROM shown))[place], '*') AS name, array_agg(step_at ORDER BY step_at) AS steps,
    array_agg(failed ORDER BY step_at) AS failed
FROM placed
GROUP BY place
ORDER BY place NULLS LAST
