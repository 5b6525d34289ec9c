-- Purpose: to whom something is to be delivered now. $1 text: only endpoints behind this one; $2 integer: most endpoints that are
-- returned; $3 integer: most that are looked at, for most of them may have nothing due.
-- Reads only. Relies on webhook_delivery_lane: a look for the next endpoint, and one at its first delivery, whatever waits
-- behind these. Those of webhooks that are paused or disabled are left out. The last one that was looked at is returned
-- in any case, when there may be more behind it: `is_end`.
WITH RECURSIVE found AS (
    (
        SELECT lane AS endpoint, 1 AS number FROM taskmill.webhook_delivery
        WHERE state = 'pending' AND lane > $1
        ORDER BY lane
        LIMIT 1
    )
    UNION ALL
    SELECT
        (
            SELECT d.lane FROM taskmill.webhook_delivery AS d
            WHERE d.state = 'pending' AND d.lane > found.endpoint
            ORDER BY d.lane
            LIMIT 1
        ),
        found.number + 1
    FROM found
    WHERE found.endpoint IS NOT NULL AND found.number < $3::integer
),
looked_at AS (
    SELECT
        found.endpoint,
        found.number = $3::integer AS is_end,
        EXISTS (
            SELECT FROM taskmill.webhook_delivery AS d
            WHERE d.state = 'pending' AND d.lane = found.endpoint AND d.next_at <= now()
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
FROM looked_at
WHERE is_due OR is_end
LIMIT $2::integer
