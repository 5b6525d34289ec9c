-- Purpose: stop deliveries to a webhook until somebody enables it. $1 uuid, $2 text reason.
-- Locks: its row. Relies on the primary key. Returns a row unless it was disabled already.
UPDATE taskmill.webhook
SET state = 'disabled', disabled_reason = $2, updated_at = now()
WHERE id = $1 AND state <> 'disabled' AND deleted_at IS NULL
RETURNING id
