-- Purpose: give up deliveries past their deadline, tried or not. $1 integer: most at once. Locks: their rows,
-- skipping what others hold. Relies on webhook_delivery_give_up.
UPDATE taskmill.webhook_delivery
SET state = 'failed', finished_at = now(), trouble = coalesce(trouble, 'its time was over before it was tried')
WHERE id = ANY(ARRAY(
    SELECT id FROM taskmill.webhook_delivery
    WHERE state = 'pending' AND give_up_at < now()
    ORDER BY give_up_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
))
RETURNING webhook_id IS NULL AS is_callback
