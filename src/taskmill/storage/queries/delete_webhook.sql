-- Purpose: delete a webhook: nothing is delivered to it any more, and nobody sees it. Its deliveries, and then its
-- row, are pruned later (prune_webhooks). $1 uuid. Locks: its row. Relies on the primary key.
UPDATE taskmill.webhook
SET deleted_at = now(), state = 'disabled', secrets = '{}'
WHERE id = $1 AND deleted_at IS NULL
RETURNING id
