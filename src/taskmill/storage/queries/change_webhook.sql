-- Purpose: change a webhook. $1 uuid, $2 text address, $3 text description, $4 text[] queues, $5 text[] types, $6
-- text[] statuses, $7 text state, $8 text: a new secret, which goes before the latest one, or null.
-- A webhook that was disabled begins anew, with changes from now on. Failures at another address do not count for
-- the new one.
-- Locks: its row (held since lock_webhook). Relies on the primary key and change_batch_position.
UPDATE taskmill.webhook
SET url = $2,
    description = $3,
    queues = $4,
    types = $5,
    statuses = $6,
    secrets = CASE WHEN $8::text IS NULL THEN secrets ELSE ARRAY[$8, secrets[1]] END,
    disabled_reason = CASE WHEN $7 = 'disabled' THEN disabled_reason END,
    failing_since = CASE WHEN state = $7 AND url = $2 THEN failing_since END,
    since_position = CASE
        WHEN state = 'disabled' AND $7 <> 'disabled' THEN coalesce((
            SELECT position FROM taskmill.change_batch
            WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1
        ), 0)
        ELSE since_position
    END,
    state = $7,
    updated_at = now()
WHERE id = $1
RETURNING
    id, url, description, queues, types, statuses, state, disabled_reason, failing_since, created_at,
    updated_at, owner,
    owner IS NULL OR EXISTS (
        SELECT FROM taskmill.api_key AS k
        WHERE k.name = owner AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
    ) AS has_key
