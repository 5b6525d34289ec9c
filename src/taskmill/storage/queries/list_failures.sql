-- Purpose: a page of the kinds of recent failures, in an order, with counts by step; and counts of all that fit.
-- $1 integer: the step in s, $2 double precision: how far back in s, and then to the beginning of that step; $3
-- integer: most kinds, $4 integer: most failures to read that are not folded yet, $5 text[]: only these queues, null
-- for all, $6 text: only this type, $7 text: only with this in kind or message, in any case, $8 text: only in this
-- state, $9 text: the order (see `KindOrder`), $10 double precision, $11 text: value and id of the kind before the
-- page, $12 boolean: whether messages of all queues may be shown, $13 text[]: only these kinds, null for all; $14, $15
-- timestamptz: instead of $2 where the span begins and ends, null for now.
-- Reads only; relies on the primary keys: its cost is the number of queues, of steps, and of kinds in them.
-- One row at least: its `counts` are the kinds by state, `failures` those of all of these kinds, and `others` what was
-- beyond the limit of a step; `window_steps` are when the steps begin. Without a kind it has no id.
WITH span AS MATERIALIZED (
    SELECT since, until, since + (until - since) / 2 AS middle
    FROM date_bin(
        make_interval(secs => $1::integer), coalesce($14::timestamptz, now() - make_interval(secs => $2)),
        '2000-01-01 00:00:00+00'
    ) AS since
    CROSS JOIN least($15::timestamptz, clock_timestamp()) AS until
),
found AS MATERIALIZED (
    SELECT at, type, error, tasks, first_at, last_at, task_id
    FROM taskmill.failure
    WHERE $5::text[] IS NULL AND step_s = $1::integer AND at >= (SELECT since FROM span) AND at < (SELECT until FROM span)
    UNION ALL
    SELECT at, type, error, tasks, first_at, last_at, task_id
    FROM taskmill.queue_failure
    WHERE step_s = $1::integer AND queue = ANY($5::text[]) AND at >= (SELECT since FROM span) AND at < (SELECT until FROM span)
    UNION ALL
    SELECT
        date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00'), type, error, 1, at, at, task_id
    FROM (
        SELECT at, type, error, task_id FROM taskmill.failure_delta
        WHERE $5::text[] IS NULL OR queue = ANY($5::text[])
        LIMIT $4
    ) AS fresh
    WHERE at >= (SELECT since FROM span) AND at < (SELECT until FROM span)
),
grouped AS (
    SELECT
        error, sum(tasks)::bigint AS tasks, min(first_at) AS first_at, max(last_at) AS last_at,
        (array_agg(task_id ORDER BY last_at DESC))[1] AS task_id, array_agg(DISTINCT type) AS types,
        array_agg(at) AS steps, array_agg(tasks) AS step_tasks,
        (coalesce(sum(tasks) FILTER (WHERE at >= middle), 0) - coalesce(sum(tasks) FILTER (WHERE at < middle), 0))::bigint
            AS growth
    FROM found CROSS JOIN span
    WHERE error <> '*' AND ($6::text IS NULL OR type = $6)
    GROUP BY error
),
known AS (
    SELECT
        left(md5(error), 16) AS id, error, tasks, grouped.last_at, grouped.task_id, types, growth, steps, step_tasks,
        CASE WHEN $12::boolean THEN least(k.first_at, grouped.first_at) ELSE grouped.first_at END AS first_at,
        CASE WHEN $12::boolean THEN k.message END AS message,
        CASE WHEN k.state = 'resolved' AND grouped.last_at > k.state_at THEN 'came_back' ELSE coalesce(k.state, 'open') END
            AS state,
        k.state_at, k.state_by
    FROM grouped LEFT JOIN taskmill.failure_kind AS k ON k.id = left(md5(error), 16)
    WHERE ($13::text[] IS NULL OR error = ANY($13))
        AND ($7::text IS NULL OR strpos(lower(error), lower($7)) > 0
            OR ($12::boolean AND strpos(lower(k.message), lower($7)) > 0))
),
valued AS (
    SELECT
        id, error, tasks, last_at, task_id, types, growth, steps, step_tasks, first_at, message, state, state_at, state_by,
        CASE $9::text
            WHEN 'newest' THEN date_part('epoch', first_at)
            WHEN 'latest' THEN date_part('epoch', last_at)
            WHEN 'growing' THEN growth::double precision
            ELSE tasks::double precision
        END AS value
    FROM known
),
shown AS (
    SELECT
        id, error, tasks, last_at, task_id, types, growth, steps, step_tasks, first_at, message, state, state_at, state_by,
        value
    FROM valued
    WHERE ($8::text IS NULL OR state = $8 OR ($8 = 'open' AND state = 'came_back'))
        AND ($10::double precision IS NULL OR (value, id) < ($10, $11::text))
    ORDER BY value DESC, id DESC
    LIMIT $3
),
totals AS (
    SELECT
        coalesce(jsonb_object_agg(state, kinds), '{}') AS counts, coalesce(sum(failures), 0)::bigint AS failures,
        (SELECT coalesce(sum(tasks), 0)::bigint FROM found WHERE error = '*') AS others
    FROM (SELECT state, count(*) AS kinds, sum(tasks) AS failures FROM valued GROUP BY state) AS states
)
SELECT
    shown.id, shown.error, shown.tasks, shown.first_at, shown.last_at, shown.task_id, shown.types, shown.growth,
    shown.message, shown.state, shown.state_at, shown.state_by, shown.value, trend.steps, trend.step_tasks,
    totals.counts, totals.failures, totals.others,
    ARRAY(
        SELECT generate_series(since, until - interval '1 microsecond', make_interval(secs => $1::integer))
    ) AS window_steps
FROM totals CROSS JOIN span LEFT JOIN shown ON true
CROSS JOIN LATERAL (
    SELECT array_agg(at ORDER BY at) AS steps, array_agg(tasks ORDER BY at) AS step_tasks
    FROM (
        SELECT at, sum(tasks)::bigint AS tasks
        FROM unnest(shown.steps, shown.step_tasks) AS part (at, tasks)
        GROUP BY at
    ) AS points
) AS trend
ORDER BY shown.value DESC, shown.id DESC
