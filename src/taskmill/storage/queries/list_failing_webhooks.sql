-- Purpose: webhooks that deliver nothing: they have accepted nothing for some time, or were disabled because of that.
-- $1 double precision: for how many seconds; $2 integer: most deliveries to count of each, $3 integer: most webhooks.
-- Reads only; webhooks are few; relies on webhook_delivery_webhook.
SELECT
    w.id, w.url, w.description, coalesce(w.failing_since, w.updated_at) AS since, w.state = 'disabled' AS is_disabled,
    w.disabled_reason, waiting.deliveries
FROM taskmill.webhook AS w
CROSS JOIN LATERAL (
    SELECT count(*)::integer AS deliveries
    FROM (
        SELECT FROM taskmill.webhook_delivery AS d
        WHERE d.webhook_id = w.id AND d.state = 'pending'
        LIMIT $2
    ) AS counted
) AS waiting
WHERE w.deleted_at IS NULL
    AND (
        (w.state = 'disabled' AND w.disabled_reason IS NOT NULL)
        OR (w.state = 'enabled' AND w.failing_since < clock_timestamp() - make_interval(secs => $1))
    )
ORDER BY since, w.id
LIMIT $3
