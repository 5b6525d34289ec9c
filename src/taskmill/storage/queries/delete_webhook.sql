-- Purpose: end a webhook: nothing is delivered for it any more, and nobody sees it. What was to be delivered, and then
-- its row, are dropped by and by (prune_webhooks). $1 uuid. Locks: its row. Relies on the primary key.
UPDATE taskmill.webhook
SET deleted_at = now(), state = 'disabled', secrets = '{}'
WHERE id = $1 AND deleted_at IS NULL
RETURNING id
