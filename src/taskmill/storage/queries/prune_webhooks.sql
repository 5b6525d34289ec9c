-- Purpose: delete up to $1 (integer) deliveries of deleted webhooks, and deleted webhooks that have none left.
-- Relies on webhook_delivery_webhook, once for each deleted webhook.
WITH deleted AS MATERIALIZED (
    SELECT id FROM taskmill.webhook WHERE deleted_at IS NOT NULL
),
bare AS (
    DELETE FROM taskmill.webhook
    WHERE id = ANY(ARRAY(
        SELECT id FROM deleted
        WHERE NOT EXISTS (SELECT FROM taskmill.webhook_delivery AS d WHERE d.webhook_id = deleted.id)
    ))
)
DELETE FROM taskmill.webhook_delivery
WHERE id = ANY(ARRAY(
    SELECT one.id
    FROM deleted
    CROSS JOIN LATERAL (
        SELECT d.id FROM taskmill.webhook_delivery AS d
        WHERE d.webhook_id = deleted.id
        LIMIT $1::integer
    ) AS one
    LIMIT $1::integer
))
RETURNING 1
