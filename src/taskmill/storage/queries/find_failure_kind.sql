-- Purpose: what is known of a kind of failures by its id, whatever the window. $1 text: its id, $2 text[]: only if it
-- failed in these queues, null for all; $3 integer: most failures to read that are not folded yet.
-- Reads only; relies on the primary keys: its cost is the number of kinds in the steps of a day. What comes from other
-- queues is null. At most one row.
WITH counted AS (
    SELECT error, first_at, last_at, task_id
    FROM taskmill.failure
    WHERE $2::text[] IS NULL AND step_s = 86400 AND left(md5(error), 16) = $1
    UNION ALL
    SELECT error, first_at, last_at, task_id
    FROM taskmill.queue_failure
    WHERE queue = ANY($2::text[]) AND step_s = 86400 AND left(md5(error), 16) = $1
    UNION ALL
    SELECT error, at, at, task_id
    FROM (
        SELECT error, at, task_id FROM taskmill.failure_delta
        WHERE $2::text[] IS NULL OR queue = ANY($2::text[])
        LIMIT $3
    ) AS fresh
    WHERE left(md5(error), 16) = $1
    UNION ALL
    SELECT kind, first_at, last_at, task_id FROM taskmill.failure_kind WHERE $2::text[] IS NULL AND id = $1
),
found AS (
    SELECT
        error, min(first_at) AS first_at, max(last_at) AS last_at,
        (array_agg(task_id ORDER BY last_at DESC))[1] AS task_id
    FROM counted
    GROUP BY error
)
SELECT
    $1 AS id, found.error, found.first_at, found.last_at, found.task_id,
    CASE WHEN $2::text[] IS NULL THEN k.message END AS message,
    CASE WHEN k.state = 'resolved' AND found.last_at > k.state_at THEN 'came_back' ELSE coalesce(k.state, 'open') END AS state,
    k.state_at, k.state_by
FROM found LEFT JOIN taskmill.failure_kind AS k ON k.id = $1
