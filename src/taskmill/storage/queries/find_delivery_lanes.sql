-- Purpose: to whom something is to be delivered now. $1 text: only lanes behind this one; $2 integer: most lanes.
-- Reads only. Relies on webhook_delivery_lane: a look for the next lane, and one at its first delivery, whatever waits
-- behind these. Lanes of webhooks that are paused or disabled are left out.
WITH RECURSIVE found AS (
    (
        SELECT lane FROM taskmill.webhook_delivery
        WHERE state = 'pending' AND lane > $1
        ORDER BY lane
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT d.lane FROM taskmill.webhook_delivery AS d
        WHERE d.state = 'pending' AND d.lane > found.lane
        ORDER BY d.lane
        LIMIT 1
    )
    FROM found
    WHERE found.lane IS NOT NULL
)
SELECT found.lane
FROM found
WHERE found.lane IS NOT NULL
    AND EXISTS (
        SELECT FROM taskmill.webhook_delivery AS d
        WHERE d.state = 'pending' AND d.lane = found.lane AND d.next_at <= now()
    )
    AND NOT EXISTS (
        SELECT FROM taskmill.webhook AS w
        WHERE w.state <> 'enabled'
            AND w.id = CASE WHEN found.lane LIKE 'webhook:%' THEN substr(found.lane, 9)::uuid END
    )
LIMIT $2
