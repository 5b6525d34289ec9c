-- Purpose: one webhook that is about to be changed. $1 uuid. Locks: its row. Relies on the primary key.
SELECT
    id, url, description, queues, types, statuses, state, disabled_reason, failing_since, created_at,
    updated_at, owner,
    owner IS NULL OR EXISTS (
        SELECT FROM taskmill.api_key AS k
        WHERE k.name = owner AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
    ) AS has_key
FROM taskmill.webhook
WHERE id = $1 AND deleted_at IS NULL
FOR NO KEY UPDATE
