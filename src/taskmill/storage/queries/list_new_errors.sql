-- Purpose: kinds of failures that began within the last hour, by type, the most frequent first: they failed no task of
-- any type in all the days before of which failures are kept. Not those that an operator ignores or has resolved.
-- $1 integer: the most; $2 text[]: only what failed in these queues, null for all.
-- Reads only; relies on the primary keys: its cost is the number of kinds of each day.
WITH fresh AS (
    SELECT type, error, tasks, first_at
    FROM (
        SELECT
            type, error, sum(tasks)::bigint AS tasks, min(first_at) AS first_at,
            min(min(first_at)) OVER (PARTITION BY error) AS kind_first_at
        FROM taskmill.failure
        WHERE step_s = 86400 AND type <> '*'
        GROUP BY type, error
    ) AS kind
    WHERE kind_first_at > now() - interval '1 hour'
),
seen AS (
    SELECT type, error, sum(tasks)::bigint AS tasks, min(first_at) AS first_at
    FROM taskmill.queue_failure
    WHERE $2::text[] IS NOT NULL AND step_s = 600 AND at > now() - interval '70 minutes' AND queue = ANY($2::text[])
    GROUP BY type, error
)
SELECT type, error, coalesce(seen.tasks, fresh.tasks) AS tasks, coalesce(seen.first_at, fresh.first_at) AS first_at
FROM fresh
LEFT JOIN seen USING (type, error)
WHERE ($2::text[] IS NULL OR seen.tasks IS NOT NULL)
    AND NOT EXISTS (SELECT FROM taskmill.failure_kind AS k WHERE k.id = left(md5(error), 16) AND k.state <> 'open')
ORDER BY tasks DESC, type, error
LIMIT $1
