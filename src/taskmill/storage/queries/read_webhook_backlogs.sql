-- Purpose: of webhooks, how many deliveries wait, since when the oldest does, when the first is due, and when the newest
-- of what was accepted was accepted. $1 uuid[]: which; $2 integer: most deliveries to count of each; $3 text[]: only
-- those of tasks in these queues, and tests; null for all; $4 integer: how many of each state to look at for that.
-- Reads only; relies on webhook_delivery_webhook, once for each state, on webhook_delivery_endpoint, and on the primary
-- key of task.
SELECT wanted.id, pending.deliveries AS waiting, pending.oldest_at, earliest.next_at AS due_at, accepted.delivered_at
FROM unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT count(*)::integer AS deliveries, min(first.created_at) AS oldest_at
    FROM (
        SELECT task_id, created_at FROM taskmill.webhook_delivery
        WHERE webhook_id = wanted.id AND state = 'pending'
        ORDER BY id
        LIMIT CASE WHEN $3::text[] IS NULL THEN $2::integer ELSE $4::integer END
    ) AS first
    WHERE $3::text[] IS NULL OR first.task_id IS NULL
        OR EXISTS (SELECT FROM taskmill.task AS t WHERE t.id = first.task_id AND t.queue = ANY($3::text[]))
) AS pending
CROSS JOIN LATERAL (
    SELECT min(first.next_at) AS next_at
    FROM (
        SELECT task_id, next_at FROM taskmill.webhook_delivery
        WHERE state = 'pending' AND endpoint = 'webhook:' || wanted.id
        ORDER BY next_at, id
        LIMIT CASE WHEN $3::text[] IS NULL THEN 1 ELSE $4::integer END
    ) AS first
    WHERE $3::text[] IS NULL OR first.task_id IS NULL
        OR EXISTS (SELECT FROM taskmill.task AS t WHERE t.id = first.task_id AND t.queue = ANY($3::text[]))
) AS earliest
CROSS JOIN LATERAL (
    SELECT max(latest.finished_at) AS delivered_at
    FROM (
        SELECT task_id, finished_at FROM taskmill.webhook_delivery
        WHERE webhook_id = wanted.id AND state = 'delivered'
        ORDER BY id DESC
        LIMIT CASE WHEN $3::text[] IS NULL THEN 1 ELSE $4::integer END
    ) AS latest
    WHERE $3::text[] IS NULL OR latest.task_id IS NULL
        OR EXISTS (SELECT FROM taskmill.task AS t WHERE t.id = latest.task_id AND t.queue = ANY($3::text[]))
) AS accepted
