-- Purpose: delete deliveries that ended long ago. $1 double precision: age in days, $2 integer limit.
-- Relies on webhook_delivery_finished.
DELETE FROM taskmill.webhook_delivery
WHERE id = ANY(ARRAY(
    SELECT id FROM taskmill.webhook_delivery
    WHERE state <> 'pending' AND finished_at < now() - make_interval(secs => $1 * 86400)
    ORDER BY finished_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
RETURNING 1
