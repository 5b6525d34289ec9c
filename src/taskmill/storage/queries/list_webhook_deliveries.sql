-- Purpose: a page of a webhook's deliveries, newest first. $1 uuid, $2 bigint: only those before it, $3 text[]:
-- only those in one of these states, $4 integer limit, $5 text[]: only those of tasks in these queues, and tests;
-- null for all. Reads only; relies on webhook_delivery_webhook, once for each state, and on the primary key of task.
SELECT
    d.id, d.webhook_id, d.task_id, d.version, d.position, d.ordinal, d.state, d.attempts, d.created_at, d.tried_at,
    d.next_at, d.finished_at, d.response_status, d.trouble, w.url
FROM unnest($3::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT
        id, webhook_id, task_id, version, position, ordinal, state, attempts, created_at, tried_at,
        next_at, finished_at, response_status, trouble
    FROM taskmill.webhook_delivery
    WHERE webhook_id = $1 AND state = wanted.state AND id < $2
        AND (
            $5::text[] IS NULL OR task_id IS NULL
            OR task_id IN (SELECT t.id FROM taskmill.task AS t WHERE t.id = task_id AND t.queue = ANY($5::text[]))
        )
    ORDER BY id DESC
    LIMIT $4
) AS d
JOIN taskmill.webhook AS w ON w.id = $1
ORDER BY d.id DESC
LIMIT $4
