-- Purpose: endpoints that something is to be delivered to now. $1 text: only endpoints after this one; $2 integer:
-- most endpoints to return; $3 integer: most to read, as most of them may have nothing due.
-- Reads only. Relies on webhook_delivery_endpoint: one probe for the next endpoint and one for its first delivery,
-- whatever waits behind these. Webhooks that are paused or disabled are left out. The last endpoint that was read
-- is returned in any case when there may be more after it: `is_end`.
WITH RECURSIVE found AS (
    (
        SELECT endpoint, 1 AS number FROM taskmill.webhook_delivery
        WHERE state = 'pending' AND endpoint > $1
        ORDER BY endpoint
        LIMIT 1
    )
    UNION ALL
    SELECT
        (
            SELECT d.endpoint FROM taskmill.webhook_delivery AS d
            WHERE d.state = 'pending' AND d.endpoint > found.endpoint
            ORDER BY d.endpoint
            LIMIT 1
        ),
        found.number + 1
    FROM found
    WHERE found.endpoint IS NOT NULL AND found.number < $3::integer
),
scanned AS (
    SELECT
        found.endpoint,
        found.number = $3::integer AS is_end,
        EXISTS (
            SELECT FROM taskmill.webhook_delivery AS d
            WHERE d.state = 'pending' AND d.endpoint = found.endpoint AND d.next_at <= now()
        )
        AND NOT EXISTS (
            SELECT FROM taskmill.webhook AS w
            WHERE w.state <> 'enabled'
                AND w.id = CASE WHEN found.endpoint LIKE 'webhook:%' THEN substr(found.endpoint, 9)::uuid END
        ) AS is_due
    FROM found
    WHERE found.endpoint IS NOT NULL
)
SELECT endpoint, is_due, is_end
FROM scanned
WHERE is_due OR is_end
LIMIT $2::integer
