-- Purpose: store a webhook's secrets in another form. $1 uuid, $2 text[] secrets.
-- Locks: its row (held since lock_webhook_secrets). Relies on the primary key.
UPDATE taskmill.webhook SET secrets = $2 WHERE id = $1
