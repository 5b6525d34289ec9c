-- Purpose: make a delivery of a test event for a webhook. $1 uuid, $2 double precision: seconds until it is given
-- up. Relies on the primary key.
-- Notifies.
WITH made AS (
    INSERT INTO taskmill.webhook_delivery (endpoint, webhook_id, give_up_at)
    SELECT 'webhook:' || id, id, now() + make_interval(secs => $2)
    FROM taskmill.webhook
    WHERE id = $1 AND deleted_at IS NULL
    RETURNING
        id, webhook_id, task_id, version, position, ordinal, state, attempts, created_at, tried_at, next_at,
        finished_at, response_status, trouble
)
SELECT
    d.id, d.webhook_id, d.task_id, d.version, d.position, d.ordinal, d.state, d.attempts, d.created_at, d.tried_at,
    d.next_at, d.finished_at, d.response_status, d.trouble, w.url
FROM made AS d
JOIN taskmill.webhook AS w ON w.id = d.webhook_id
