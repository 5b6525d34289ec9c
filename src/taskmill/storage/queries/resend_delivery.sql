-- Purpose: try a delivery again, now, with all the time that a new one has. $1 bigint, $2 uuid its webhook, $3
-- double precision: seconds until it is given up. Locks: its row. Relies on the primary keys.
-- Notifies.
UPDATE taskmill.webhook_delivery AS d
SET state = 'pending', next_at = now(), finished_at = NULL, give_up_at = now() + make_interval(secs => $3)
FROM taskmill.webhook AS w
WHERE d.id = $1 AND d.webhook_id = $2 AND w.id = d.webhook_id
RETURNING
    d.id, d.webhook_id, d.task_id, d.version, d.position, d.ordinal, d.state, d.attempts, d.created_at, d.tried_at,
    d.next_at, d.finished_at, d.response_status, d.trouble, w.url
